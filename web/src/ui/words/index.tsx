import css from './words.module.css'

/** A sentence of the server's, in which `names` stand between backticks. */
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
