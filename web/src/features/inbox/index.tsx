import { useQuery } from '@tanstack/react-query'
import { useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { useEffect, useState } from 'react'
import {
  type ConversationAction,
  type ConversationHead,
  conversationQuery,
  type InboxConversation,
  inbox,
  lines,
  resolved,
  useConversationAction,
  useLiveConversation,
} from '../../api/conversation'
import { me } from '../../api/queries'
import { useMay } from '../../api/rights'
import { useT } from '../../i18n'
import { Button } from '../../ui/button'
import { useNow } from '../../ui/clock'
import { useCommands } from '../../ui/commands'
import { Text } from '../../ui/field'
import { Icon } from '../../ui/icon'
import { LiveLine } from '../../ui/live-line'
import { Sheet } from '../../ui/sheet'
import { Empty, Problem, Skeleton } from '../../ui/states'
import { toast } from '../../ui/toast'
import { Top } from '../../ui/top'
import { AvailabilityBanner } from './availability-banner'
import { Composer } from './composer'
import { Context } from './context'
import css from './inbox.module.css'
import { Queue } from './queue'
import { Thread } from './thread'
import { byWait, channelIcon, nameOf } from './words'

/** The inbox: conversations taken over by people, and those waiting for them. */
export function Inbox() {
  const t = useT()
  const go = useNavigate()
  const { conversation } = useParams({ from: '/inbox/{-$conversation}' })
  const { show } = useSearch({ from: '/inbox/{-$conversation}' })
  const past = show === 'resolved'
  const self = useQuery(me)
  const open = useQuery({ ...inbox, enabled: !past })
  const resolvedQuery = useQuery({ ...resolved, enabled: past })
  const listed = past ? resolvedQuery : open
  const now = useNow(1000)
  const name = self.data?.name ?? ''
  const conversations = listed.data ?? []
  const isMine = (one: ConversationHead) => one.owner === 'person' && one.assigned_agent_id === name
  const groups = past
    ? [{ title: t('Resolved'), conversations }]
    : [
        { title: t('With me'), conversations: byWait(conversations.filter(isMine)) },
        { title: t('Unassigned'), conversations: byWait(conversations.filter((one) => one.owner === 'nobody')) },
        {
          title: t('With others'),
          conversations: byWait(conversations.filter((one) => one.owner === 'person' && !isMine(one))),
        },
      ]
  const order = groups.flatMap((group) => group.conversations)
  const chosen = conversation ?? null
  const select = (next: string) =>
    void go({
      to: '/inbox/{-$conversation}',
      params: { conversation: next },
      search: past ? { show: 'resolved' } : {},
      replace: true,
    })
  const first = conversation ? null : (order[0]?.conversation_id ?? null)
  // Put the selection into the URL, so that the conversation stays open when it leaves the list.
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each first.
  useEffect(() => {
    if (first) select(first)
  }, [first])
  const step = (by: number) => {
    const at = order.findIndex((one) => one.conversation_id === chosen)
    const next = order[Math.max(0, Math.min(order.length - 1, at + by))]
    if (!next) return
    select(next.conversation_id)
    document
      .querySelector(`[data-conversation="${CSS.escape(next.conversation_id)}"]`)
      ?.scrollIntoView?.({ block: 'nearest' })
  }
  useCommands([
    { id: 'inbox.next', title: t('Next conversation'), group: t('Inbox'), keys: 'j', run: () => step(1) },
    { id: 'inbox.previous', title: t('Previous conversation'), group: t('Inbox'), keys: 'k', run: () => step(-1) },
  ])
  const tab = (to: boolean, title: string) => (
    <button
      type="button"
      aria-pressed={past === to}
      onClick={() =>
        void go({
          to: '/inbox/{-$conversation}',
          params: { conversation: undefined },
          search: to ? { show: 'resolved' } : {},
        })
      }
    >
      {title}
    </button>
  )
  return (
    <>
      <Top
        actions={
          listed.isError && listed.dataUpdatedAt ? (
            <LiveLine line={{ state: 'lost', since: listed.dataUpdatedAt }} />
          ) : listed.isSuccess ? (
            <LiveLine line={{ state: 'live' }} />
          ) : null
        }
      >
        <h1>{t('Inbox')}</h1>
        <div className={css.segments} role="group" aria-label={t('Which conversations')}>
          {tab(false, t('Open'))}
          {tab(true, t('Resolved'))}
        </div>
      </Top>
      {!past && <AvailabilityBanner />}
      <div className={css.columns}>
        <div className={css.queue}>
          {listed.isError && <Problem problem={listed.error} onRetry={() => void listed.refetch()} />}
          {listed.isPending && <Skeleton rows={6} height={78} />}
          {listed.isSuccess && order.length === 0 && (
            <Empty>{past ? t('What people have resolved will stand here.') : t('Nobody waits.')}</Empty>
          )}
          <Queue groups={groups} chosen={chosen} onChoose={select} now={now} />
        </div>
        {chosen ? (
          <Open key={chosen} of={chosen} me={name} />
        ) : (
          <Empty>{t('Choose a conversation to see what was said.')}</Empty>
        )}
      </div>
    </>
  )
}

function Open({ of, me: name }: { of: string; me: string }) {
  const t = useT()
  const may = useMay('answer')
  const conversation = useQuery(conversationQuery(of))
  const linesQuery = useQuery(lines(of))
  const line = useLiveConversation(of, linesQuery.isSuccess)
  const action = useConversationAction(of)
  const [giving, setGiving] = useState(false)
  const [note, setNote] = useState('')
  const data = conversation.data
  const mine = data?.owner === 'person' && data.assigned_agent_id === name
  const isOpen = data?.state === 'pending_human' || data?.state === 'human_active'
  const can = {
    take: may && !!data && !mine && data.owner !== 'person' && data.state !== 'resolved',
    reopen: may && data?.state === 'resolved',
    leave: may && mine && isOpen,
  }
  const send = (what: ConversationAction, done: string, then?: () => void) =>
    action.mutate(what, {
      onSuccess: () => {
        then?.()
        if (done) toast(done)
      },
    })
  const take = () => send({ act: 'take-over' }, t('You hold the baton'))
  const resolve = () => send({ act: 'resolve' }, t('Resolved'))
  const reopen = () => send({ act: 'reopen' }, t('Opened again'))
  const give = () => {
    action.reset()
    setGiving(true)
  }
  const here = t('This conversation')
  useCommands([
    ...(can.take ? [{ id: 'conversation.take', title: t('Take over'), group: here, keys: 't', run: take }] : []),
    ...(can.reopen ? [{ id: 'conversation.reopen', title: t('Open again'), group: here, run: reopen }] : []),
    ...(can.leave
      ? [
          { id: 'conversation.back', title: t('Give back to the agent…'), group: here, keys: 'b', run: give },
          { id: 'conversation.resolve', title: t('Resolve'), group: here, keys: 'e', run: resolve },
        ]
      : []),
  ])
  useEffect(() => {
    if (data) document.title = `${nameOf(data)} · Baton`
    return () => {
      document.title = 'Baton'
    }
  }, [data])
  if (conversation.isError && !data)
    return <Problem problem={conversation.error} onRetry={() => void conversation.refetch()} />
  if (!data || linesQuery.isPending) return <Skeleton rows={8} height={44} />
  return (
    <>
      <section className={css.conversation} aria-label={t('Conversation')}>
        <header className={css.head}>
          <div className="cut">
            <h2 className="cut">{nameOf(data)}</h2>
            <span className="sm dim row">
              <Icon name={channelIcon(data.channel)} size={12} />
              <span className="cut">{[data.channel, data.workflow_id].filter(Boolean).join(', ')}</span>
            </span>
          </div>
          <span className="push row">
            {line.state === 'lost' && <LiveLine line={line} />}
            {can.reopen && (
              <Button icon="undo" busy={action.isPending} onPress={reopen}>
                {t('Open again')}
              </Button>
            )}
            {can.leave && (
              <>
                <Button icon="swap" onPress={give}>
                  {t('Give back…')}
                </Button>
                <Button icon="check" look="primary" busy={action.isPending && !giving} onPress={resolve}>
                  {t('Resolve')}
                </Button>
              </>
            )}
          </span>
        </header>
        <OwnerLine conversation={data} mine={mine} />
        {action.error && !giving && <Problem problem={action.error} />}
        {linesQuery.isError && <Problem problem={linesQuery.error} onRetry={() => void linesQuery.refetch()} />}
        <Thread conversation={data} lines={linesQuery.data ?? []} me={name} />
        {can.take && (
          <div className={css.closed}>
            <span className="mid">
              {data.owner === 'ai'
                ? t('The agent holds the baton.')
                : t('Nobody holds the baton: you cannot write yet.')}
            </span>
            <Button look="primary" icon="person" busy={action.isPending} onPress={take}>
              {t('Take over')}
            </Button>
          </div>
        )}
        {(mine || data.owner === 'person') && isOpen && (
          <Composer
            conversation={data}
            mine={mine}
            may={may}
            busy={action.isPending}
            onAction={(what, done) => send(what, '', done)}
          />
        )}
      </section>
      <aside className={css.aside} aria-label={t('What goes along')}>
        <Context conversation={data} />
      </aside>
      <Sheet
        title={t('Give back to the agent')}
        open={giving}
        onClose={() => setGiving(false)}
        foot={
          <>
            <Button look="ghost" onPress={() => setGiving(false)}>
              {t('Back')}
            </Button>
            <Button
              look="primary"
              icon="swap"
              busy={action.isPending}
              onPress={() =>
                send({ act: 'give-back', note: note.trim() }, t('Given back'), () => {
                  setGiving(false)
                  setNote('')
                })
              }
            >
              {t('Give back')}
            </Button>
          </>
        }
      >
        <p>
          {t('The agent answers what the customer writes next. It is told your note, and you do not write any more.')}
        </p>
        <Text
          label={t('Note to the agent')}
          hint={t('What was agreed, and what it shall do. The customer does not see it.')}
          value={note}
          onChange={setNote}
          lines={4}
          autoFocus
        />
        {action.error && giving && <Problem problem={action.error} inline />}
      </Sheet>
    </>
  )
}

/** A conversation has exactly one owner at a time; the line above the messages says who. */
function OwnerLine({ conversation, mine }: { conversation: InboxConversation; mine: boolean }) {
  const t = useT()
  const person = conversation.owner === 'person'
  return (
    <p className={`${css.who} ${person ? css.whoPerson : conversation.owner === 'ai' ? css.whoAi : ''}`} role="status">
      <Icon name={person ? 'person' : conversation.owner === 'ai' ? 'agent' : 'hold'} size={14} />
      {mine ? (
        <>
          <b>{t('You hold the baton')}</b>
          <span className="mid">{t('the agent does not write')}</span>
        </>
      ) : person ? (
        <>
          <b>{t('{name} holds the baton', { name: conversation.assigned_agent_id ?? '' })}</b>
          <span className="mid">{t('you can leave a note')}</span>
        </>
      ) : conversation.state === 'resolved' ? (
        <b>{t('Resolved')}</b>
      ) : conversation.state === 'finished' ? (
        <b>{t('The agent has answered')}</b>
      ) : conversation.owner === 'ai' ? (
        <b>{t('The agent holds the baton')}</b>
      ) : (
        <b>{t('Waits for a person')}</b>
      )}
    </p>
  )
}
