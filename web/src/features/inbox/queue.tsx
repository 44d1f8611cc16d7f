import type { TalkHead, Trigger } from '../../api/conversation'
import { type Say, useT } from '../../i18n'
import { exact, left } from '../../i18n/format'
import { Icon } from '../../ui/icon'
import css from './inbox.module.css'
import { channelIcon, nameOf, triggerWords } from './words'

interface Props {
  groups: { title: string; talks: TalkHead[] }[]
  chosen: string | null
  onChoose: (talk: string) => void
  now: number
}

/** Mine, nobody's, and others'; each with why it came and since when nothing happened. */
export function Queue({ groups, chosen, onChoose, now }: Props) {
  const t = useT()
  return (
    <>
      {groups
        .filter((group) => group.talks.length > 0)
        .map((group) => (
          <section key={group.title} aria-label={group.title}>
            <h2 className={css.groupName}>
              {group.title} <span className="num">{group.talks.length}</span>
            </h2>
            <ul>
              {group.talks.map((talk) => (
                <li key={talk.conversation_id}>
                  <button
                    type="button"
                    className={css.item}
                    data-talk={talk.conversation_id}
                    aria-current={chosen === talk.conversation_id ? 'true' : undefined}
                    onClick={() => onChoose(talk.conversation_id)}
                  >
                    <span className="row">
                      <b className="cut">{nameOf(talk)}</b>
                      <Icon name={channelIcon(talk.channel)} size={12} className="dim" label={talk.channel} />
                      <span className={`${css.quiet} push num nowrap`} title={exact(talk.updated_at)}>
                        {left(Math.max(0, now - Date.parse(talk.updated_at)))}
                      </span>
                    </span>
                    <span className={`${css.lastLine} cut`}>{talk.last_message ?? ''}</span>
                    {talk.hil_reason && (
                      <span className="row">
                        <span
                          className={`${css.tag} cut ${talk.hil_reason === 'failed_compensation' ? css.tagUndo : ''}`}
                        >
                          {reason(talk.hil_reason, t)}
                        </span>
                      </span>
                    )}
                  </button>
                </li>
              ))}
            </ul>
          </section>
        ))}
    </>
  )
}

const reason = (why: string, t: Say): string => {
  const word = triggerWords[why as Trigger]
  return word ? t(word) : why
}
