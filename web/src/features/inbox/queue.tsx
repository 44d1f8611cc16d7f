import type { ConversationHead, Trigger } from '../../api/conversation'
import { type Translate, useT } from '../../i18n'
import { exact, timeLeft } from '../../i18n/format'
import { Icon } from '../../ui/icon'
import css from './inbox.module.css'
import { channelIcon, nameOf, triggerWords } from './words'

interface Props {
  groups: { title: string; conversations: ConversationHead[] }[]
  chosen: string | null
  onChoose: (talk: string) => void
  now: number
}

/** The queue: mine, unassigned and others', each with its reason and the time since the last activity. */
export function Queue({ groups, chosen, onChoose, now }: Props) {
  const t = useT()
  return (
    <>
      {groups
        .filter((group) => group.conversations.length > 0)
        .map((group) => (
          <section key={group.title} aria-label={group.title}>
            <h2 className={css.groupName}>
              {group.title} <span className="num">{group.conversations.length}</span>
            </h2>
            <ul>
              {group.conversations.map((conversation) => (
                <li key={conversation.conversation_id}>
                  <button
                    type="button"
                    className={css.item}
                    data-conversation={conversation.conversation_id}
                    aria-current={chosen === conversation.conversation_id ? 'true' : undefined}
                    onClick={() => onChoose(conversation.conversation_id)}
                  >
                    <span className="row">
                      <b className="cut">{nameOf(conversation)}</b>
                      <Icon
                        name={channelIcon(conversation.channel)}
                        size={12}
                        className="dim"
                        label={conversation.channel}
                      />
                      <span className={`${css.quiet} push num nowrap`} title={exact(conversation.updated_at)}>
                        {timeLeft(Math.max(0, now - Date.parse(conversation.updated_at)))}
                      </span>
                    </span>
                    <span className={`${css.lastLine} cut`}>{conversation.last_message ?? ''}</span>
                    {conversation.hil_reason && (
                      <span className="row">
                        <span
                          className={`${css.tag} cut ${conversation.hil_reason === 'failed_compensation' ? css.tagUndo : ''}`}
                        >
                          {reason(conversation.hil_reason, t)}
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

const reason = (why: string, t: Translate): string => {
  const word = triggerWords[why as Trigger]
  return word ? t(word) : why
}
