import { useMemo, useState } from 'react'
import type { Entry, Event } from '../../api/schema'
import { bodyOf, kindOf, nodeOf } from '../../graph/timeline'
import { msg, useT } from '../../i18n'
import { clockMs, exact } from '../../i18n/format'
import { Button } from '../../ui/button'
import { Copy, Json } from '../../ui/code'
import { Icon } from '../../ui/icon'
import css from './journal.module.css'

type EventActor = 'agent' | 'tool' | 'person' | 'flow'
const filters: [EventActor | '', string][] = [
  ['', msg('All')],
  ['agent', msg('Agents')],
  ['tool', msg('Tools')],
  ['person', msg('People')],
  ['flow', msg('Flow')],
]
const page = 100

/** The actor of an event. */
function actorOf(event: Event): EventActor {
  const kind = kindOf(event)
  const body = bodyOf(event)
  const inside = (name: string) => Object.keys((body[name] ?? {}) as object)[0]
  if (
    [
      'answered',
      'approved',
      'unblocked',
      'resolved',
      'customer_asked',
      'signal_kept',
      'signal_taken',
      'paused',
      'resumed',
      'undone_by_hand',
    ].includes(kind)
  )
    return 'person'
  if (kind === 'blocked' && inside('by') === 'approval') return 'person'
  if (kind === 'began') return body.wait === 'agent' ? 'agent' : body.wait === 'human' ? 'person' : 'flow'
  if (['stepped', 'agent_replaced', 'request_refused'].includes(kind)) return 'agent'
  if (kind === 'scheduled') return inside('request') === 'tool' ? 'tool' : 'agent'
  if (kind === 'done' || kind === 'arrived_late') return inside('output') === 'tool' ? 'tool' : 'agent'
  if (['not_done', 'doubted', 'sending', 'degraded', 'not_undone'].includes(kind)) return 'tool'
  return 'flow'
}

/** One line of text for an event. */
function lineOf(event: Event): string {
  const body = bodyOf(event)
  const node = nodeOf(event)
  const fault = body.fault as { code?: string; message?: string } | undefined
  const request = body.request as { tool?: { tool?: string }; model?: { agent?: string } } | undefined
  const parts = [
    node,
    request?.tool?.tool ?? request?.model?.agent,
    typeof body.question === 'string' ? body.question : null,
    typeof body.by === 'string' ? body.by : null,
    typeof body.key === 'string' ? body.key : null,
    typeof body.path === 'string' ? body.path : null,
    typeof body.state === 'string' ? body.state : null,
    typeof body.how === 'string' ? body.how : body.how ? Object.keys(body.how as object)[0] : null,
    fault ? `${fault.code}: ${fault.message}` : null,
  ]
  return parts.filter(Boolean).join(' · ')
}

interface Line {
  key: string
  seq: number
  at: string
  event: Event
  actor: EventActor
}

/** The events as stored, unchanged. */
export function Journal({ entries, live, step }: { entries: readonly Entry[]; live: boolean; step?: string | null }) {
  const t = useT()
  const [actor, setActor] = useState<EventActor | ''>('')
  const [shownCount, setShownCount] = useState(page)
  const lines = useMemo(() => {
    const all: Line[] = entries.flatMap((entry) =>
      entry.events.map((event, i) => ({
        key: `${entry.seq}.${i}`,
        seq: entry.seq,
        at: entry.at,
        event,
        actor: actorOf(event),
      })),
    )
    return all.filter((line) => (!actor || line.actor === actor) && (!step || nodeOf(line.event) === step))
  }, [entries, actor, step])
  // Newest first while the run is active; oldest first once it has ended.
  const ordered = live ? lines.toReversed() : lines
  return (
    <div className={css.journal}>
      <div className={css.tools}>
        <div className={css.segments} role="group" aria-label={t('Filter')}>
          {filters.map(([value, word]) => (
            <button key={value} type="button" aria-pressed={actor === value} onClick={() => setActor(value)}>
              {t(word)}
            </button>
          ))}
        </div>
        <span className="dim sm">{live ? t('newest first') : t('oldest first')}</span>
        <span className="push">
          <Copy text={() => JSON.stringify(entries, null, 2)} label={t('Copy as JSON')} />
        </span>
      </div>
      <ol className={css.lines}>
        {ordered.slice(0, shownCount).map((line) => (
          <JournalLine key={line.key} line={line} />
        ))}
      </ol>
      {ordered.length > shownCount && (
        <div className={css.more}>
          <Button small onPress={() => setShownCount(shownCount + page)}>
            {t('More')}
          </Button>
        </div>
      )}
    </div>
  )
}

function JournalLine({ line }: { line: Line }) {
  const [open, setOpen] = useState(false)
  const kind = kindOf(line.event)
  return (
    <li className={css.line}>
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)} className={css.summary}>
        <Icon name={open ? 'down' : 'right'} size={12} className="dim" />
        <span className={`${css.seq} num`}>{line.seq}</span>
        <span className={`mono ${line.actor}-c ${css.kind}`}>{kind}</span>
        <span className={`cut ${css.text}`}>{lineOf(line.event)}</span>
        <span className={`num dim ${css.at}`} title={exact(line.at)}>
          {clockMs(line.at)}
        </span>
      </button>
      {open && (
        <div className={css.payload}>
          <Json value={line.event} label={kind} />
        </div>
      )}
    </li>
  )
}
