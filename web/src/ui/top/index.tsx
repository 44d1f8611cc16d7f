import { createContext, type ReactNode, useContext } from 'react'
import css from './top.module.css'

/** The right end of every screen's bar. */
export const Corner = createContext<ReactNode>(null)

/** The bar of a screen: the location at the left, the actions at the right. */
export function Top({ children, actions }: { children: ReactNode; actions?: ReactNode }) {
  const corner = useContext(Corner)
  return (
    <header className={css.top}>
      <div className={css.crumb}>{children}</div>
      {(actions || corner) && (
        <div className={css.actions}>
          {actions}
          {corner}
        </div>
      )}
    </header>
  )
}
export const Slash = () => (
  <span className={css.slash} aria-hidden="true">
    /
  </span>
)
