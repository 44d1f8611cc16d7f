import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { useEffect } from 'react'
import { Problem as ApiProblem } from '../../api/problem'
import { approval, approvals } from '../../api/queries'
import type { TaskItem } from '../../api/schema'
import { nodeOfItem } from '../../graph/waits'
import { useT } from '../../i18n'
import { when } from '../../i18n/format'
import { CodeText } from '../../ui/code-text'
import { useCommands } from '../../ui/commands'
import { Deadline, Decision } from '../../ui/decision'
import { deadlineOf } from '../../ui/decision/words'
import { Icon } from '../../ui/icon'
import { KindTile } from '../../ui/kind-tile'
import { LiveLine } from '../../ui/live-line'
import { Empty, Problem, Skeleton } from '../../ui/states'
import { Top } from '../../ui/top'
import css from './approvals.module.css'

/** Nearest deadline first; without a deadline last, oldest first. */
export function byDeadline(items: TaskItem[]): TaskItem[] {
  const at = (item: TaskItem) => deadlineOf(item) ?? Number.POSITIVE_INFINITY
  return [...items].sort(
    (a, b) => at(a) - at(b) || new Date(a.opened_at).getTime() - new Date(b.opened_at).getTime() || 0,
  )
}

export function Approvals() {
  const t = useT()
  const go = useNavigate({ from: '/approvals' })
  const search = useSearch({ from: '/approvals' })
  const list = useQuery(approvals)
  const items = byDeadline(list.data ?? [])
  const chosen = search.id ?? items[0]?.id ?? null
  const select = (id: string) => void go({ search: { id }, replace: true })
  const step = (by: number) => {
    const at = items.findIndex((item) => item.id === chosen)
    const next = items[Math.max(0, Math.min(items.length - 1, at + by))]
    if (next) select(next.id)
  }
  useCommands([
    { id: 'approvals.next', title: t('Next approval'), group: t('Approvals'), keys: 'j', run: () => step(1) },
    { id: 'approvals.previous', title: t('Previous approval'), group: t('Approvals'), keys: 'k', run: () => step(-1) },
  ])
  useEffect(() => {
    document.querySelector('[aria-current=true]')?.scrollIntoView?.({ block: 'nearest' })
  }, [])
  return (
    <>
      <Top actions={list.isSuccess && !list.isError ? <LiveLine line={{ state: 'live' }} /> : null}>
        <h1>{t('Approvals')}</h1>
        {items.length > 0 && <span className="num">{items.length}</span>}
      </Top>
      {list.isError && <Problem problem={list.error} onRetry={() => void list.refetch()} />}
      <div className={css.columns}>
        <div className={css.list}>
          {list.isPending && <Skeleton rows={5} height={64} />}
          {list.isSuccess && items.length === 0 && !search.id && (
            <Empty
              action={
                <Link to="/runs" search={{ state: 'waiting' }} className="link">
                  {t('Runs that wait')}
                </Link>
              }
            >
              {t('Nothing waits for a yes or a no. What a workflow asks before it acts will stand here.')}
            </Empty>
          )}
          <ul>
            {items.map((item) => (
              <li key={item.id}>
                <button
                  type="button"
                  className={css.item}
                  aria-current={item.id === chosen ? 'true' : undefined}
                  onClick={() => select(item.id)}
                >
                  <KindTile kind={item.kind === 'tool_approval' ? 'tool' : 'human'} size={28} />
                  <span className={css.words}>
                    <span className="row">
                      <b className="cut">{titleOf(item)}</b>
                      <span className="push sm">
                        <Deadline item={item} />
                      </span>
                    </span>
                    <span className={`cut sm ${css.sub}`}>{summary(item)}</span>
                  </span>
                </button>
              </li>
            ))}
          </ul>
        </div>
        <div className={css.detail}>
          {chosen && <Detail key={chosen} id={chosen} listed={items.find((item) => item.id === chosen)} />}
        </div>
      </div>
    </>
  )
}

const titleOf = (item: TaskItem): string => item.details.tool ?? item.title
function summary(item: TaskItem): string {
  const values = Object.entries(item.details.arguments ?? item.details.details ?? {})
  return values.length
    ? values.map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`).join(', ')
    : item.title
}

function Detail({ id, listed }: { id: string; listed: TaskItem | undefined }) {
  const t = useT()
  const taskQuery = useQuery({ ...approval(id), refetchInterval: 5_000, retry: false })
  // Settled in the meantime, here or by another person.
  const isSettled =
    taskQuery.error instanceof ApiProblem && (taskQuery.error.status === 404 || taskQuery.error.conflict)
  const item = isSettled ? undefined : (taskQuery.data ?? listed)
  if (isSettled)
    return (
      <Empty
        action={
          <Link to="/approvals" className="link">
            {t('All approvals')}
          </Link>
        }
      >
        {t('This has been decided, or its time is over.')}
      </Empty>
    )
  if (!item)
    return taskQuery.isError ? (
      <Problem problem={taskQuery.error} onRetry={() => void taskQuery.refetch()} />
    ) : (
      <Skeleton rows={6} />
    )
  return (
    <article className={css.article}>
      <header className={css.head}>
        <KindTile kind={item.kind === 'tool_approval' ? 'tool' : 'human'} size={32} />
        <div>
          <h2>
            <CodeText>{item.title}</CodeText>
          </h2>
          <p className="sm mid">
            {t('asked {time}', { time: when(item.opened_at) })} ·{' '}
            <Link to="/runs/$id" params={{ id: item.run }} search={{ step: nodeOfItem(item) }} className="link">
              {t('See the run')}
            </Link>
          </p>
        </div>
      </header>
      <Decision key={item.approved_by?.length ?? 0} item={item} keys />
      {item.details.hash && (
        <p className={css.hash}>
          <Icon name="lock" size={12} />
          <span>
            {t('The approval holds for exactly this.')} <span className="mono">{item.details.hash.slice(0, 16)}…</span>
          </span>
        </p>
      )}
    </article>
  )
}
