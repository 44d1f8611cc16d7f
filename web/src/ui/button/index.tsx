import type { ReactNode } from 'react'
import { Button as Aria, type ButtonProps } from 'react-aria-components'
import { Icon, type IconName } from '../icon'
import css from './button.module.css'

export interface Props extends Omit<ButtonProps, 'children' | 'className'> {
  icon?: IconName
  look?: 'plain' | 'primary' | 'ghost' | 'bad'
  small?: boolean
  /** Icon only: the text becomes the label. */
  iconOnly?: boolean
  /** The request is in flight. */
  busy?: boolean
  children: ReactNode
  className?: string | undefined
}

export function Button({ icon, look = 'plain', small, iconOnly, busy, children, className, ...rest }: Props) {
  const classes = [css.button, css[look], small && css.small, iconOnly && css.only, className].filter(Boolean).join(' ')
  return (
    <Aria
      {...rest}
      {...(busy ? { isPending: true } : {})}
      className={classes}
      {...(iconOnly && typeof children === 'string' ? { 'aria-label': children } : {})}
    >
      {icon && <Icon name={busy ? 'run' : icon} size={14} className={busy ? 'spin' : undefined} />}
      {!iconOnly && children}
    </Aria>
  )
}
