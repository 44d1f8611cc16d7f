import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { type ReactNode, useEffect, useMemo, useRef, useState } from 'react'
import type { Problem as ApiProblem } from '../../api/problem'
import { act, ended, execute, execution, useLiveRun, useRunTasks, workflow, workflows } from '../../api/queries'
import type { Execution } from '../../api/schema'
import { splitTime } from '../../graph/time-split'
import { foldJournal, type RunTimeline, spans } from '../../graph/timeline'
import { questionOf } from '../../graph/waits'
import { useT } from '../../i18n'
import { clock, duration, usd } from '../../i18n/format'
import { Button } from '../../ui/button'
import { useNow } from '../../ui/clock'
import { CodeText } from '../../ui/code-text'
import { useCommands } from '../../ui/commands'
import { Decision } from '../../ui/decision'
import { Icon } from '../../ui/icon'
import { LiveLine } from '../../ui/live-line'
import { begin, type Draft, read, SchemaForm } from '../../ui/schema-form'
import { StateSign } from '../../ui/state-sign'
import { Empty, Problem, Skeleton } from '../../ui/states'
import { TimeSplitBar } from '../../ui/time-split'
import { toast } from '../../ui/toast'
import { Top } from '../../ui/top'
import css from './chat.module.css'
import { declared } from './input'

/** A test chat with a workflow, as its customer, with the steps of each turn beside it. */
export function Chat() {
  const t = useT()
  const go = useNavigate({ from: '/chat/{-$workflow}' })
  const { workflow: name } = useParams({ from: '/chat/{-$workflow}' })
  const { run } = useSearch({ from: '/chat/{-$workflow}' })
  const list = useQuery(workflows)
  const names = [...new Set((list.data ?? []).filter((one) => one.active).map((one) => one.workflow))].sort()
  const chosen = name ?? names[0]
  const again = () => void go({ to: '/chat/{-$workflow}', params: { workflow: chosen }, search: {} })
  useCommands(
    run ? [{ id: 'chat.new', title: t('New conversation'), group: t('Try in chat'), keys: 'n', run: again }] : [],
  )
  return (
    <>
      <Top
        actions={
          run && (
            <Button icon="plus" onPress={again}>
              {t('New conversation')}
            </Button>
          )
        }
      >
        <h1>{t('Try in chat')}</h1>
        {names.length > 0 && (
          <label className={css.pick}>
            <span className="vh">{t('Workflow')}</span>
            <select
              value={chosen}
              onChange={(e) => void go({ to: '/chat/{-$workflow}', params: { workflow: e.target.value }, search: {} })}
            >
              {names.map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
            <Icon name="down" size={12} />
          </label>
        )}
      </Top>
      {list.isError && <Problem problem={list.error} onRetry={() => void list.refetch()} />}
      {list.isPending && <Skeleton rows={4} />}
      {list.isSuccess && !chosen && (
        <Empty>{t('There is no workflow yet. One that is in the project’s folder will stand here.')}</Empty>
      )}
      {chosen &&
        (run ? (
          <Conversation key={run} run={run} />
        ) : (
          <Beginning
            key={chosen}
            name={chosen}
            onBegun={(id) => void go({ to: '/chat/{-$workflow}', params: { workflow: chosen }, search: { run: id } })}
          />
        ))}
    </>
  )
}

function Beginning({ name, onBegun }: { name: string; onBegun: (run: string) => void }) {
  const t = useT()
  const queries = useQueryClient()
  const found = useQuery(workflow(name))
  const wants = useMemo(() => declared(found.data?.definition?.definition?.input ?? null), [found.data])
  const place = `baton.chat.${name}`
  const [draft, setDraft] = useState<Draft>({})
  const [show, setShow] = useState(false)
  useEffect(() => {
    // Restore the last draft for this workflow, in this tab.
    const saved = JSON.parse(sessionStorage.getItem(place) ?? '{}') as Draft
    setDraft({ ...begin(wants.rest), ...saved })
  }, [wants, place])
  const start = useMutation<Execution, ApiProblem, Record<string, unknown>>({
    mutationFn: (input) => execute(name, input),
    onSuccess: (run) => {
      queries.setQueryData(
        execution(run.execution_id).queryKey,
        (old: Execution | undefined) => old ?? (run.nodes ? run : undefined),
      )
      onBegun(run.execution_id)
    },
  })
  const { value, wrong } = read(wants.rest, draft)
  const send = (text: string) => {
    setShow(true)
    if (Object.keys(wrong).length > 0) {
      toast(t('Fill in what it is given first.'))
      return false
    }
    sessionStorage.setItem(place, JSON.stringify(draft))
    start.mutate({ ...value, ...(wants.message ? { [wants.message]: text } : {}) })
    return true
  }
  if (found.isPending) return <Skeleton rows={4} />
  if (found.isError) return <Problem problem={found.error} onRetry={() => void found.refetch()} />
  const fields = Object.keys(wants.rest.properties ?? {}).length
  return (
    <div className={css.columns}>
      <section className={css.conversation} aria-label={t('Conversation')}>
        <div className={css.thread}>
          <p className={css.hint}>
            {wants.message
              ? t('Write as a customer would. What the workflow does appears beside it, step by step.')
              : t('This workflow takes no message. Fill in what it needs, and begin.')}
          </p>
        </div>
        {start.error && <Problem problem={start.error} />}
        {wants.message ? (
          <Composer busy={start.isPending} onSend={send} label={t('First message')} />
        ) : (
          <div className={css.begin}>
            <Button look="primary" icon="play" busy={start.isPending} onPress={() => send('')}>
              {t('Begin')}
            </Button>
          </div>
        )}
      </section>
      <aside className={css.aside} aria-label={t('What it is given')}>
        {fields > 0 ? (
          <div className={css.given}>
            <h2>{t('What it is given')}</h2>
            <SchemaForm schema={wants.rest} draft={draft} onChange={setDraft} show={show} />
          </div>
        ) : (
          <Empty>{t('The steps of the run will stand here.')}</Empty>
        )}
      </aside>
    </div>
  )
}

function Composer({
  busy,
  onSend,
  label,
  disabled,
}: {
  busy: boolean
  onSend: (text: string) => boolean
  label: string
  disabled?: string | undefined
}) {
  const t = useT()
  const [text, setText] = useState('')
  const field = useRef<HTMLTextAreaElement>(null)
  const send = () => {
    if (!text.trim() || busy || disabled) return
    if (onSend(text.trim())) setText('')
  }
  useCommands([
    { id: 'chat.write', title: t('Write'), group: t('Try in chat'), keys: 'r', run: () => field.current?.focus() },
  ])
  return (
    <form
      className={css.composer}
      onSubmit={(e) => {
        e.preventDefault()
        send()
      }}
    >
      <textarea
        ref={field}
        aria-label={label}
        placeholder={disabled ?? t('Write a message')}
        rows={2}
        value={text}
        disabled={!!disabled}
        onChange={(e) => setText(e.target.value)}
        onKeyDown={(e) => {
          if (e.key === 'Enter' && !e.shiftKey && !e.nativeEvent.isComposing) {
            e.preventDefault()
            send()
          }
        }}
      />
      <Button type="submit" look="primary" icon="send" busy={busy} isDisabled={!!disabled}>
        {t('Send')}
      </Button>
    </form>
  )
}

function Conversation({ run: id }: { run: string }) {
  const t = useT()
  const { execution: shown, journal, line } = useLiveRun(id)
  const run = shown.data
  const over = run ? ended(run.state) : false
  const now = useNow(over ? null : 1000)
  const timeline = useMemo(() => foldJournal(journal.data ?? []), [journal.data])
  const tasks = useRunTasks(run, timeline)
  const [sent, setSent] = useState<{ text: string; after: number }[]>([])
  const send = useMutation<Execution, ApiProblem, string>({
    mutationFn: (message) => act(id, { act: 'signal', message }),
    onMutate: (text) => setSent((old) => [...old, { text, after: timeline.utterances.length }]),
    onError: (_problem, text) => setSent((old) => old.filter((one) => one.text !== text)),
  })
  // Drop sent messages that the journal has.
  const pending = sent.filter(
    (one) =>
      !timeline.utterances
        .slice(one.after)
        .some((utterance) => utterance.author === 'customer' && utterance.text === one.text),
  )
  const end = useRef<HTMLDivElement>(null)
  const turns = timeline.utterances.length + pending.length
  // biome-ignore lint/correctness/useExhaustiveDependencies: scroll to each new turn.
  useEffect(() => {
    end.current?.scrollIntoView?.({ block: 'end' })
  }, [turns])
  const waits = tasks.filter((item) => item.kind !== 'question')
  const asked = tasks.some((item) => item.kind === 'question')
  const thinking = !!run && !over && !asked && waits.length === 0 && run.state !== 'paused'
  if (shown.isError && !run) return <Problem problem={shown.error} onRetry={() => void shown.refetch()} />
  return (
    <div className={css.columns}>
      <section className={css.conversation} aria-label={t('Conversation')}>
        <div className={css.thread} role="log" aria-live="polite">
          {timeline.utterances.map((one, i) => (
            <div key={i} className={`${css.turn} ${one.author === 'customer' ? css.mine : ''}`}>
              <p className={`${css.bubble} ${one.author === 'customer' ? '' : css.theirs}`}>{one.text}</p>
              <span className={css.meta}>
                {one.author === 'customer' ? (
                  t('Customer')
                ) : (
                  <>
                    <Icon name="agent" size={12} className="agent-c" /> {t('Reply')}
                  </>
                )}
                , {clock(one.at)}
              </span>
            </div>
          ))}
          {pending.map((one) => (
            <div key={`${one.after}/${one.text}`} className={`${css.turn} ${css.mine}`}>
              <p className={css.bubble}>{one.text}</p>
              <span className={css.meta}>{t('sending')}</span>
            </div>
          ))}
          {thinking && (
            <p className={css.note}>
              <Icon name="run" size={12} className="spin" /> {t('Working')}
            </p>
          )}
          {waits.map((item) => (
            <div key={questionOf(item)} className={css.wait}>
              <p className={css.divider}>
                <span>{t('The baton passes to a person')}</span>
              </p>
              <h2>
                <CodeText>{item.title}</CodeText>
              </h2>
              <Decision item={item} />
            </div>
          ))}
          {over && run && (
            <p className={css.divider}>
              <span>
                <StateSign state={run.state} small /> {duration(run.duration_ms ?? 0)} · {usd(run.total_cost_usd)}
              </span>
            </p>
          )}
          {over && run?.error && <Problem problem={new Error(`${run.error.code}: ${run.error.message}`)} inline />}
          <div ref={end} />
        </div>
        {send.error && <Problem problem={send.error} />}
        <Composer
          busy={send.isPending}
          onSend={(text) => {
            send.mutate(text)
            return true
          }}
          label={t('Message')}
          disabled={over ? t('The run has ended. Begin a new conversation.') : undefined}
        />
      </section>
      <aside className={css.aside} aria-label={t('Steps')}>
        {run && (
          <Steps
            run={run}
            timeline={timeline}
            now={over ? (timeline.ended ?? now) : now}
            line={<LiveLine line={line} over={over} />}
          />
        )}
      </aside>
    </div>
  )
}

function Steps({ run, timeline, now, line }: { run: Execution; timeline: RunTimeline; now: number; line: ReactNode }) {
  const t = useT()
  const bar = splitTime(spans(timeline, now))
  return (
    <div className={css.steps}>
      <div className="row">
        <StateSign state={run.state} />
        {line}
        <Link to="/runs/$id" params={{ id: run.execution_id }} className="link push sm">
          {t('See the run')}
        </Link>
      </div>
      <TimeSplitBar split={bar} />
      <ol>
        {timeline.steps.map((step) => (
          <li key={step.node}>
            <Link to="/runs/$id" params={{ id: run.execution_id }} search={{ step: step.node }} className={css.step}>
              <StateSign state={step.status} small signOnly />
              <Icon
                name={step.holder === 'person' ? 'person' : step.holder === 'flow' ? 'flow' : step.holder}
                size={14}
                className={`${step.holder}-c`}
              />
              <span className="cut">{step.name}</span>
              {step.fault && <span className="bad-c mono cut">{step.fault.code}</span>}
              <span className="push dim num sm nowrap">
                {step.calls.length + step.waits.length === 0 ? '—' : duration((step.to ?? now) - step.from)}
              </span>
            </Link>
          </li>
        ))}
      </ol>
      <p className="row sm mid">
        {t('Cost')}
        <span className="push num">{usd(run.total_cost_usd)}</span>
      </p>
    </div>
  )
}
