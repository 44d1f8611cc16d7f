import type { ReactNode } from 'react'
import type { Execution, Graph, TaskItem } from '../../api/schema'
import { nodeAt } from '../../graph/graph-view'
import type { Call, RunTimeline } from '../../graph/timeline'
import { nodeOfItem, questionOf } from '../../graph/waits'
import { useT } from '../../i18n'
import { clockMs, count, duration, usd } from '../../i18n/format'
import { Arguments, Json } from '../../ui/code'
import { CodeText } from '../../ui/code-text'
import { Decision } from '../../ui/decision'
import { Icon } from '../../ui/icon'
import { KindTile, kindWords } from '../../ui/kind-tile'
import { StateSign } from '../../ui/state-sign'
import css from './step.module.css'

interface Props {
  run: Execution
  timeline: RunTimeline
  graph: Graph | undefined
  node: string
  tasks: TaskItem[]
  /** Partial replies of models, by call. */
  replies: ReadonlyMap<string, string>
  now: number
}

/** One step: input, output, attempts, cost, and the decision it waits for. */
export function StepPanel({ run, timeline, graph, node, tasks, replies, now }: Props) {
  const t = useT()
  const step = timeline.steps.find((one) => one.node === node)
  const drawn = nodeAt(graph, node)
  const state = run.nodes?.find((one) => one.node === node)
  const kind = drawn?.kind ?? state?.kind ?? (step?.holder === 'person' ? 'human' : (step?.holder ?? 'transform'))
  const items = tasks.filter((item) => nodeOfItem(item) === node)
  const status = step?.status ?? drawn?.status ?? state?.status ?? 'pending'
  const output = step?.output ?? run.outputs?.[node] ?? null
  const waits = step?.waits ?? []
  const saying = step?.calls.filter((call) => call.attempts.at(-1)?.to === null && replies.get(call.key)) ?? []
  return (
    <div className={css.panel}>
      <header className={css.head}>
        <KindTile kind={kind} size={32} />
        <div className="cut">
          <h2 className="cut">
            {items[0]?.kind === 'form' || items[0]?.kind === 'approval'
              ? items[0].title
              : (drawn?.name ?? step?.name ?? node)}
          </h2>
          <span className="mono dim cut">{node}</span>
        </div>
      </header>
      <div className={css.body}>
        <div className="row">
          <StateSign state={status} />
          <span className="dim sm">{drawn?.calls ?? t(kindWords[kind] ?? kind)}</span>
          {step && step.status !== 'waiting' && (
            <span className="push num mid sm">{duration((step.to ?? now) - step.from)}</span>
          )}
        </div>
        {saying.length > 0 && (
          <Section title={t('Saying now')}>
            {saying.map((call) => (
              <p key={call.key} className={css.streaming}>
                {replies.get(call.key)}
              </p>
            ))}
          </Section>
        )}
        {items.map((item) => (
          <Decision key={questionOf(item)} item={item} />
        ))}
        {step?.fault && (
          <div className={css.fault}>
            <p>
              <b className="mono">{step.fault.code}</b>
            </p>
            <p>
              <CodeText>{step.fault.message}</CodeText>
            </p>
            {step.fault.suggested_action && <p className="mid">{step.fault.suggested_action}</p>}
          </div>
        )}
        {!step && (
          <p className="mid">
            {status === 'skipped'
              ? t('This step was skipped: the way that leads to it was not taken.')
              : t('The run has not come here.')}
          </p>
        )}
        {step?.input !== null && step?.input !== undefined && items.length === 0 && (
          <Section title={t('Input')}>
            {isRecord(step.input) && step.holder === 'tool' ? (
              <Arguments of={step.input} caption={t('Input')} />
            ) : (
              <Json value={step.input} label={t('Input')} />
            )}
          </Section>
        )}
        {output !== null && (
          <Section title={t('Output')}>
            <Json value={output} label={t('Output')} />
          </Section>
        )}
        {waits.length > 0 && (
          <Section title={t('Waited')}>
            <ul className={css.list}>
              {waits.map((wait) => (
                <li key={wait.from}>
                  <Icon name={wait.for === 'timer' ? 'wait' : 'hold'} size={14} className="person-c" />
                  <span>
                    {wait.message ?? whatFor(wait.for, t)}
                    {wait.by.length > 0 && <span className="dim"> · {wait.by.join(', ')}</span>}
                  </span>
                  <span className="push num dim nowrap">{duration((wait.to ?? now) - wait.from)}</span>
                </li>
              ))}
            </ul>
          </Section>
        )}
        {step && step.calls.length > 0 && (
          <Section title={t('{n, plural, one {# call} other {# calls}}', { n: step.calls.length })}>
            <ul className={css.calls}>
              {step.calls.map((call) => (
                <li key={call.key}>
                  <CallPart call={call} now={now} />
                </li>
              ))}
            </ul>
          </Section>
        )}
      </div>
    </div>
  )
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function whatFor(reason: string, t: ReturnType<typeof useT>): string {
  const words: Record<string, string> = {
    customer: t('For the customer'),
    person: t('For a person'),
    leave: t('For approval'),
    timer: t('For a time'),
    signal: t('For a signal'),
    child: t('For another run'),
    budget: t('For money'),
    service: t('For a service'),
  }
  return words[reason] ?? reason
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className={css.section}>
      <h3>{title}</h3>
      {children}
    </section>
  )
}

function CallPart({ call, now }: { call: Call; now: number }) {
  const t = useT()
  const answer = call.answer as {
    model?: string
    provider?: string
    usage?: { input_tokens?: number; output_tokens?: number; cached_tokens?: number }
  } | null
  const undo = call.way_back as { call?: { tool: string }; irreversible?: { reason: string } } | null
  return (
    <details className={css.call}>
      <summary>
        <Icon
          name={call.undo ? 'undo' : call.what === 'tool' ? 'tool' : 'agent'}
          size={14}
          className={call.undo ? 'undo-c' : call.what === 'tool' ? 'tool-c' : 'agent-c'}
        />
        <span className="cut">{call.what === 'model' ? (answer?.model ?? call.name) : call.name}</span>
        {call.attempts.length > 1 && <span className="dim nowrap">{t('{n} tries', { n: call.attempts.length })}</span>}
        <span className="push num dim nowrap">{call.cached ? t('cached') : usd(call.cost_usd)}</span>
      </summary>
      <div className={css.callBody}>
        <ul className={css.list}>
          {call.attempts.map((one) => (
            <li key={one.from}>
              <Icon
                name={one.fault ? 'err' : one.to === null ? 'run' : 'ok'}
                size={14}
                className={one.fault ? 'bad-c' : one.to === null ? 'spin' : 'good-c'}
              />
              <span className="num">{clockMs(one.from)}</span>
              {one.fault && <span className="mid cut">{one.fault.code}</span>}
              <span className="push num dim">{duration((one.to ?? now) - one.from)}</span>
            </li>
          ))}
        </ul>
        {call.what === 'model' && answer?.usage && (
          <p className="sm mid num">
            {answer.provider} ·{' '}
            {t('{in} tokens in, {out} out', {
              in: count(answer.usage.input_tokens ?? 0),
              out: count(answer.usage.output_tokens ?? 0),
            })}
          </p>
        )}
        {undo?.call && <p className="sm undo-c">{t('Can be undone by {tool}', { tool: undo.call.tool })}</p>}
        {undo?.irreversible && (
          <p className="sm mid">{t('Cannot be undone: {reason}', { reason: undo.irreversible.reason })}</p>
        )}
        <h3>{t('Sent')}</h3>
        <Json value={call.request} label={t('Sent')} />
        {call.answer !== null && (
          <>
            <h3>{t('Answered')}</h3>
            <Json value={call.answer} label={t('Answered')} />
          </>
        )}
      </div>
    </details>
  )
}
