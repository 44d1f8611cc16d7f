import { msg, useT } from '../../i18n'
import { Icon, type IconName } from '../icon'
import css from './state-sign.module.css'

type Tone = 'good' | 'wait' | 'bad' | 'undo' | 'quiet' | 'run'
interface Sign {
  icon: IconName
  tone: Tone
  word: string
}

/** Shape first, colour second. */
const signs: Record<string, Sign> = {
  created: { icon: 'ring', tone: 'quiet', word: msg('Accepted') },
  pending: { icon: 'ring', tone: 'quiet', word: msg('Not begun') },
  running: { icon: 'run', tone: 'run', word: msg('Running') },
  waiting: { icon: 'hold', tone: 'wait', word: msg('Waiting') },
  paused: { icon: 'pause', tone: 'quiet', word: msg('Paused') },
  completed: { icon: 'ok', tone: 'good', word: msg('Completed') },
  failed: { icon: 'err', tone: 'bad', word: msg('Failed') },
  caught: { icon: 'err', tone: 'bad', word: msg('Failed') },
  skipped: { icon: 'skip', tone: 'quiet', word: msg('Skipped') },
  cancelling: { icon: 'cancelled', tone: 'undo', word: msg('Being cancelled') },
  cancelled: { icon: 'cancelled', tone: 'quiet', word: msg('Cancelled') },
  compensating: { icon: 'undo', tone: 'undo', word: msg('Being undone') },
  compensated: { icon: 'undo', tone: 'undo', word: msg('Undone') },
  timed_out: { icon: 'wait', tone: 'bad', word: msg('Timed out') },
}

export const signOf = (state: string): Sign => signs[state] ?? { icon: 'ring', tone: 'quiet', word: state }

/** A status, as shape, colour and word. `word` is more specific where more is known: "Waiting for a person". */
export function StateSign({
  state,
  word,
  small,
  signOnly,
}: {
  state: string
  word?: string | undefined
  small?: boolean
  signOnly?: boolean
}) {
  const t = useT()
  const sign = signOf(state)
  const text = word ?? t(sign.word)
  return (
    <span className={`${css.sign} ${css[sign.tone]}`}>
      <Icon
        name={sign.icon}
        size={small ? 12 : 14}
        className={sign.icon === 'run' ? 'spin' : undefined}
        {...(signOnly ? { label: text } : {})}
      />
      {!signOnly && text}
    </span>
  )
}
