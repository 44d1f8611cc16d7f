import { said, useT } from '../../i18n'
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
  created: { icon: 'ring', tone: 'quiet', word: said('Accepted') },
  pending: { icon: 'ring', tone: 'quiet', word: said('Not begun') },
  running: { icon: 'run', tone: 'run', word: said('Running') },
  waiting: { icon: 'hold', tone: 'wait', word: said('Waiting') },
  paused: { icon: 'pause', tone: 'quiet', word: said('Paused') },
  completed: { icon: 'ok', tone: 'good', word: said('Completed') },
  failed: { icon: 'err', tone: 'bad', word: said('Failed') },
  caught: { icon: 'err', tone: 'bad', word: said('Failed') },
  skipped: { icon: 'skip', tone: 'quiet', word: said('Skipped') },
  cancelling: { icon: 'cancelled', tone: 'undo', word: said('Being cancelled') },
  cancelled: { icon: 'cancelled', tone: 'quiet', word: said('Cancelled') },
  compensating: { icon: 'undo', tone: 'undo', word: said('Being undone') },
  compensated: { icon: 'undo', tone: 'undo', word: said('Undone') },
  timed_out: { icon: 'wait', tone: 'bad', word: said('Timed out') },
}

export const signOf = (state: string): Sign => signs[state] ?? { icon: 'ring', tone: 'quiet', word: state }

/** How it goes, as shape, colour and word. `word` says more where more is known: "Waiting for a person". */
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
