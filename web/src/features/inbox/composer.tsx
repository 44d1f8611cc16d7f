import { type KeyboardEvent, useEffect, useRef, useState } from 'react'
import type { ConversationAction, InboxConversation } from '../../api/conversation'
import { useT } from '../../i18n'
import { Button } from '../../ui/button'
import { useCommands } from '../../ui/commands'
import { Icon } from '../../ui/icon'
import { Keys } from '../../ui/kbd'
import css from './inbox.module.css'

interface Props {
  conversation: InboxConversation
  mine: boolean
  may: boolean
  busy: boolean
  /** Calls `done` when the server has accepted it; only then is the draft cleared. */
  onAction: (action: ConversationAction, done: () => void) => void
}

/** The reply to the customer or an internal note. The suggested reply is above the field, never in it. */
export function Composer({ conversation, mine, may, busy, onAction }: Props) {
  const t = useT()
  const [to, setTo] = useState<'customer' | 'people'>('customer')
  const [text, setText] = useState('')
  const [dismissed, dismiss] = useState<string | null>(null)
  const field = useRef<HTMLTextAreaElement>(null)
  const suggested = conversation.handover_context?.suggested_reply ?? null
  const note = to === 'people' || !mine
  const suggestion = mine && !note && suggested && suggested !== dismissed ? suggested : null
  const use = () => {
    if (!suggestion) return
    setText(text ? `${text}\n${suggestion}` : suggestion)
    dismiss(suggestion)
    field.current?.focus()
  }
  const write = (next: 'customer' | 'people') => {
    setTo(next)
    field.current?.focus()
  }
  // biome-ignore lint/correctness/useExhaustiveDependencies: another conversation, another draft.
  useEffect(() => {
    setText('')
    setTo('customer')
    dismiss(null)
  }, [conversation.conversation_id])
  const here = t('This conversation')
  useCommands(
    may
      ? [
          ...(mine
            ? [{ id: 'conversation.reply', title: t('Reply'), group: here, keys: 'r', run: () => write('customer') }]
            : []),
          { id: 'conversation.note', title: t('Internal note'), group: here, keys: 'n', run: () => write('people') },
          ...(suggestion
            ? [{ id: 'conversation.suggestion', title: t('Use the suggested reply'), group: here, keys: 's', run: use }]
            : []),
        ]
      : [],
  )
  const send = () => {
    if (!text.trim() || busy) return
    onAction(
      note ? { act: 'notes', text: text.trim() } : { act: 'posts', text: text.trim(), number: conversation.number },
      () => setText(''),
    )
  }
  const onKey = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && (event.metaKey || event.ctrlKey)) {
      event.preventDefault()
      send()
    } else if (event.key === 'Tab' && !event.shiftKey && suggestion && !text) {
      event.preventDefault()
      use()
    }
  }
  if (!may) return null
  return (
    <div className={css.composer}>
      {suggestion && (
        <div className={css.suggestion}>
          <div className="row">
            <Icon name="agent" size={14} className="agent-c" />
            <b className="agent-c">{t('Suggested reply')}</b>
            <span className="push row">
              <Button small onPress={use}>
                {t('Use')} <Keys keys="Tab" />
              </Button>
              <Button small look="ghost" icon="x" iconOnly onPress={() => dismiss(suggestion)}>
                {t('Dismiss the suggestion')}
              </Button>
            </span>
          </div>
          <p>{suggestion}</p>
        </div>
      )}
      <div className={`${css.box} ${note ? css.boxNote : ''}`}>
        <div className={css.to} role="group" aria-label={t('Who reads it')}>
          {mine && (
            <button type="button" aria-pressed={!note} onClick={() => write('customer')}>
              {t('Reply')}
            </button>
          )}
          <button type="button" aria-pressed={note} onClick={() => write('people')}>
            {t('Internal note')}
          </button>
        </div>
        <textarea
          ref={field}
          rows={3}
          value={text}
          aria-label={note ? t('Internal note') : t('Reply')}
          placeholder={note ? t('For people only; the customer does not see it') : t('Write to the customer')}
          onChange={(e) => setText(e.target.value)}
          onKeyDown={onKey}
        />
        <div className="row">
          <span className="sm dim">{note ? t('not seen by the customer') : ''}</span>
          <span className="push">
            <Button
              small
              look="primary"
              icon={note ? 'note' : 'send'}
              busy={busy}
              isDisabled={!text.trim()}
              onPress={send}
            >
              {note ? t('Keep the note') : t('Send')}
            </Button>
          </span>
        </div>
      </div>
    </div>
  )
}
