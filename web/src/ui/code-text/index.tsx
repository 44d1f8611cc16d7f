import css from './code-text.module.css'

/** A sentence from the server; `names` between backticks are set as code. */
export function CodeText({ children }: { children: string | null | undefined }) {
  return (
    <>
      {(children ?? '').split('`').map((part, i) =>
        i % 2 ? (
          <code key={i} className={css.name}>
            {part}
          </code>
        ) : (
          part
        ),
      )}
    </>
  )
}
