import css from './mark.module.css'

export function Mark() {
  return (
    <svg className={css.mark} viewBox="0 0 20 20" aria-hidden="true">
      <g transform="rotate(-45 10 10)">
        <rect x="0" y="7.4" width="9" height="5.2" rx="2.6" opacity=".38" />
        <rect x="8" y="7.4" width="12" height="5.2" rx="2.6" className={css.hand} />
      </g>
    </svg>
  )
}
