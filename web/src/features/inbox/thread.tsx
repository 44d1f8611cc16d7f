import { useEffect, useRef } from 'react'
import type { InboxConversation, Line } from '../../api/conversation'
import { useT } from '../../i18n'
import { when } from '../../i18n/format'
import { Icon } from '../../ui/icon'
import css from './inbox.module.css'
import { triggerWords } from './words'

interface Props {
  conversation: InboxConversation
  lines: Line[]
  me: string
}

/** The messages: customer left, ours right; agent and person differ in colour and label; notes are internal. */
export function Thread({ conversation, lines, me }: Props) {
  const t = useT()
  const end = useRef<HTMLDivElement>(null)
  const box = useRef<HTMLDivElement>(null)
  const count = lines.length
  // biome-ignore lint/correctness/useExhaustiveDependencies: scroll to a new line, unless an older one is being read.
  useEffect(() => {
    const at = box.current
    if (at && at.scrollHeight - at.scrollTop - at.clientHeight < 240) end.current?.scrollIntoView?.({ block: 'end' })
  }, [count])
  useEffect(() => end.current?.scrollIntoView?.({ block: 'end' }), [])
  const passed = handoverLine(conversation, lines)
  return (
    <div className={css.thread} role="log" aria-label={t('Conversation')} ref={box} tabIndex={0}>
      {lines
        .filter((line) => line.from !== 'suggestion')
        .map((line) => (
          <div key={line.number} className={css.slot}>
            {line.number === passed && <HandoverMark conversation={conversation} />}
            <div className={`${css.turn} ${line.from === 'customer' ? '' : css.ours}`}>
              <p className={`${css.bubble} ${css[`by_${line.from}`] ?? ''}`}>{line.text}</p>
              <span className={css.meta}>
                {line.from === 'ai' && <Icon name="agent" size={12} className="agent-c" />}
                {line.from === 'note' && <Icon name="lock" size={12} />}
                {line.from === 'customer'
                  ? t('Customer')
                  : line.from === 'ai'
                    ? t('Agent')
                    : line.name === me
                      ? t('You')
                      : (line.name ?? t('A person'))}
                , {when(line.at)}
                {line.from === 'note' && ` · ${t('not seen by the customer')}`}
              </span>
            </div>
          </div>
        ))}
      {passed === null && conversation.handover_context && <HandoverMark conversation={conversation} />}
      <div ref={end} />
    </div>
  )
}

/** The number of the first line after the handover to people, or `null` if there is none yet. */
function handoverLine(conversation: InboxConversation, lines: Line[]): number | null {
  const before = conversation.handover_context?.lines
  if (before === undefined) return null
  return lines.find((line) => line.number > before && line.from !== 'suggestion')?.number ?? null
}

function HandoverMark({ conversation }: { conversation: InboxConversation }) {
  const t = useT()
  const handover = conversation.handover_context
  if (!handover) return null
  return (
    <div className={css.handover}>
      <span>
        <span className={css.handoverTag}>
          <Icon name="swap" size={12} />
          {t('The agent passed the baton')}
        </span>
        <span className="cut">{handover.reason || t(triggerWords[handover.trigger] ?? handover.trigger)}</span>
        {conversation.waiting_since && <span className="num dim nowrap">{when(conversation.waiting_since)}</span>}
      </span>
    </div>
  )
}
