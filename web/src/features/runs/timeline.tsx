import { useState } from 'react'
import type { Graph } from '../../api/schema'
import { axis } from '../../graph/axis'
import { nodeAt } from '../../graph/graph-view'
import { holderOf } from '../../graph/holder'
import { type Call, type RunTimeline, type Step, spans } from '../../graph/timeline'
import { useT } from '../../i18n'
import { duration, tick as short, usd } from '../../i18n/format'
import { Icon } from '../../ui/icon'
import { kindIcon } from '../../ui/kind-tile'
import css from './timeline.module.css'

interface Props {
  timeline: RunTimeline
  graph: Graph | undefined
  selected: string | null
  onSelect: (node: string) => void
  open: Set<string>
  onToggle: (node: string) => void
  now: number
  over: boolean
}

const kindFor = { agent: 'agent', tool: 'tool', person: 'human', flow: 'transform' } as const
/** A node that only passes the work on took too little time for a bar. */
const instant = (step: Step) => step.calls.length === 0 && step.waits.length === 0

/** One row for each node, an agent's calls inside; work to scale, waits compressed. */
export function Timeline({ timeline, graph, selected, onSelect, open, onToggle, now, over }: Props) {
  const t = useT()
  const began = timeline.began ?? now
  const until = over ? (timeline.ended ?? now) : now
  const all = spans(timeline, until)
  const scale = axis(began, until, all)
  const pct = (time: number) => `${(scale.at(time) * 97).toFixed(2)}%`
  const wide = (from: number, to: number) => `max(3px, ${((scale.at(to) - scale.at(from)) * 97).toFixed(2)}%)`
  const started = new Set(timeline.steps.map((step) => step.node))
  const todo = (graph?.nodes ?? []).filter((node) => !started.has(node.id) && node.status === 'pending')
  const skipped = (graph?.nodes ?? []).filter((node) => !started.has(node.id) && node.status === 'skipped')
  const [more, setMore] = useState(false)

  return (
    <div className={css.timeline}>
      <div className={css.head}>
        <span className={css.headName}>{t('Step')}</span>
        <span className={css.axis} aria-hidden="true">
          {scale.ticks.map((tick) => (
            <span key={tick.ms} style={{ left: `${tick.at * 97}%` }}>
              {tick.ms === 0 ? '0' : short(tick.ms)}
            </span>
          ))}
          {!over && (
            <span className={css.nowWord} style={{ left: '97%' }}>
              {t('now')}
            </span>
          )}
        </span>
        <span className={css.time}>{t('Time')}</span>
        <span className={css.cost}>USD</span>
      </div>
      <div className={css.rows}>
        <div className={css.grid} aria-hidden="true">
          {scale.ticks.slice(1).map((tick) => (
            <i key={tick.ms} style={{ left: `${tick.at * 97}%` }} />
          ))}
          {scale.cuts.map((cut) => (
            <i key={cut} className={css.cut} style={{ left: `${cut * 97}%` }} />
          ))}
          {!over && <i className={css.nowLine} style={{ left: '97%' }} />}
        </div>
        <ol>
          {timeline.steps.map((step) => {
            const inner = step.holder === 'agent' && step.calls.length > 1
            const isOpen = inner && open.has(step.node)
            const node = nodeAt(graph, step.node)
            const kind = node?.kind ?? kindFor[step.holder]
            const depth = step.node.split('/').length - 1
            const waiting = step.status === 'waiting'
            const time = instant(step) ? '—' : duration((step.to ?? until) - step.from)
            return (
              <li key={step.node}>
                <div
                  className={`${css.row} ${selected === step.node ? css.selected : ''} ${waiting ? css.held : ''}`}
                  data-step={step.node}
                >
                  {inner && (
                    <button
                      type="button"
                      className={css.twist}
                      style={{ left: 10 + depth * 16 }}
                      aria-expanded={isOpen}
                      aria-label={t('Calls of {step}', { step: step.name })}
                      onClick={() => onToggle(step.node)}
                    >
                      <Icon name={isOpen ? 'down' : 'right'} size={12} />
                    </button>
                  )}
                  <button
                    type="button"
                    className={css.main}
                    aria-current={selected === step.node ? 'true' : undefined}
                    onClick={() => onSelect(step.node)}
                  >
                    <span className={css.name} style={{ paddingLeft: 32 + depth * 16 }}>
                      <Icon name={kindIcon(kind)} size={14} className={`${holderOf(kind)}-c`} />
                      <b className="cut">{node?.name ?? step.name}</b>
                      <small className="cut">{note(step, node?.calls, t)}</small>
                    </span>
                    <span className={css.bars}>
                      {bars(step, until).map((bar) => (
                        <i
                          key={`${bar.from}/${bar.kind}`}
                          className={`bar ${css.bar} ${css[bar.kind]}`}
                          style={{ left: pct(bar.from), width: wide(bar.from, bar.to) }}
                        />
                      ))}
                      {step.calls
                        .filter((call) => !call.undo)
                        .flatMap((call) =>
                          gaps(call).map(([from, to]) => (
                            <i key={from} className={css.gap} style={{ left: pct(from), width: wide(from, to) }} />
                          )),
                        )}
                      {remark(step, t) && (
                        <span
                          className={css.remark}
                          style={place(scale.at(until), scale.at(step.from), scale.at(lastEnd(step, until)))}
                        >
                          {remark(step, t)}
                        </span>
                      )}
                      {step.calls.some((call) => call.undo) && (
                        <span
                          className={css.undone}
                          style={{ left: pct(step.calls.find((call) => call.undo)?.attempts[0]?.from ?? until) }}
                        >
                          <Icon name="undo" size={12} label={t('undone')} />
                        </span>
                      )}
                    </span>
                    <span className={`${css.time} num`}>{time}</span>
                    <span className={`${css.cost} num`}>{usd(step.cost_usd, false)}</span>
                  </button>
                </div>
                {isOpen && (
                  <ol>
                    {step.calls
                      .filter((call) => !call.undo)
                      .map((call) => (
                        <li key={call.key} className={css.row}>
                          <button type="button" className={css.main} onClick={() => onSelect(step.node)}>
                            <span className={css.name} style={{ paddingLeft: 50 + depth * 16 }}>
                              <Icon
                                name={call.what === 'tool' ? 'tool' : 'agent'}
                                size={14}
                                className={call.what === 'tool' ? 'tool-c' : 'agent-c'}
                              />
                              <b className="cut">{callName(step, call)}</b>
                              <small className="cut">{callNote(call, t)}</small>
                            </span>
                            <span className={css.bars}>
                              {call.attempts.map((one) => (
                                <i
                                  key={one.from}
                                  className={`bar ${css.bar} ${css.sub} ${one.fault ? css.bad : css[call.what === 'tool' ? 'tool' : 'agent']}`}
                                  style={{ left: pct(one.from), width: wide(one.from, one.to ?? until) }}
                                />
                              ))}
                            </span>
                            <span className={`${css.time} num`}>{duration(callMs(call, until))}</span>
                            <span className={`${css.cost} num`}>{usd(call.cost_usd, false)}</span>
                          </button>
                        </li>
                      ))}
                  </ol>
                )}
              </li>
            )
          })}
          {todo.map((node) => (
            <li key={node.id}>
              <div className={`${css.row} ${css.todo} ${selected === node.id ? css.selected : ''}`} data-step={node.id}>
                <button
                  type="button"
                  className={css.main}
                  aria-current={selected === node.id ? 'true' : undefined}
                  onClick={() => onSelect(node.id)}
                >
                  <span className={css.name} style={{ paddingLeft: 32 }}>
                    <Icon name={kindIcon(node.kind)} size={14} />
                    <b className="cut">{node.name ?? node.id}</b>
                    <small className="cut">{over ? t('not reached') : node.calls}</small>
                  </span>
                  <span className={css.bars} />
                  <span className={css.time} />
                  <span className={css.cost} />
                </button>
              </div>
            </li>
          ))}
        </ol>
        {skipped.length > 0 && (
          <div className={css.skipped}>
            <button type="button" onClick={() => setMore(!more)} aria-expanded={more} className="dim sm">
              <Icon name={more ? 'down' : 'right'} size={12} />{' '}
              {t('{n, plural, one {# step was skipped} other {# steps were skipped}}', { n: skipped.length })}
            </button>
            {more && <p className="sm mid">{skipped.map((node) => node.name ?? node.id).join(', ')}</p>}
          </div>
        )}
      </div>
    </div>
  )
}

type Translate = ReturnType<typeof useT>

function note(step: Step, calls: string | undefined, t: Translate): string {
  if (step.agent) {
    const n = step.calls.filter((call) => !call.undo).length
    return n > 1 ? `${step.agent} · ${t('{n, plural, one {# call} other {# calls}}', { n })}` : step.agent
  }
  return calls ?? step.calls[0]?.name ?? ''
}

function remark(step: Step, t: Translate): string {
  const call = step.calls.findLast((one) => !one.undo)
  const first = call?.attempts.find((one) => one.fault)
  if (step.status === 'failed') return step.fault?.code ?? ''
  if (call && call.attempts.length > 1 && first?.fault)
    return t('{n} tries, first {code}', { n: call.attempts.length, code: first.fault.code })
  const wait = step.waits.findLast((one) => one.to === null)
  if (wait?.message) return wait.message
  return ''
}

/** A remark is after its bar where there is room, else before it. */
function place(end: number, from: number, at: number): { left?: string; right?: string } {
  return at > 0.6 * Math.max(end, 0.01)
    ? { right: `calc(${(100 - from * 97).toFixed(2)}% + 8px)` }
    : { left: `calc(${(at * 97).toFixed(2)}% + 8px)` }
}
const lastEnd = (step: Step, until: number): number =>
  Math.max(
    step.from,
    ...step.calls.filter((one) => !one.undo).flatMap((call) => call.attempts.map((one) => one.to ?? until)),
    ...step.waits.map((wait) => wait.to ?? until),
  )

function bars(step: Step, until: number): { from: number; to: number; kind: string }[] {
  const calls = step.calls.flatMap((call) =>
    call.attempts
      .filter((one) => one.from <= until)
      .map((one) => ({
        from: one.from,
        to: one.to ?? until,
        kind: one.fault ? 'bad' : call.undo ? 'undo' : call.what === 'tool' ? 'tool' : 'agent',
      })),
  )
  const waits = step.waits.map((wait) => ({
    from: wait.from,
    to: wait.to ?? until,
    kind: wait.for === 'customer' || wait.for === 'person' || wait.for === 'approval' ? 'wait' : 'timer',
  }))
  const both = [...calls, ...waits]
  return both.length ? both : [{ from: step.from, to: step.to ?? until, kind: 'flow' }]
}

function gaps(call: Call): [number, number][] {
  return call.attempts.slice(1).flatMap((one, i) => {
    const before = call.attempts[i]?.to
    return before && one.from > before ? [[before, one.from] as [number, number]] : []
  })
}

const callMs = (call: Call, until: number) =>
  call.attempts.reduce((sum, one) => sum + Math.max(0, (one.to ?? until) - one.from), 0)
function callName(step: Step, call: Call): string {
  if (call.what === 'tool') return call.name
  const models = step.calls.filter((one) => one.what !== 'tool')
  const content = (call.answer as { content?: unknown } | null)?.content
  const words = typeof content === 'string' && content && !content.startsWith('{') ? content : ''
  return `${models.indexOf(call) + 1}${words ? ` · ${words}` : ''}`
}
function callNote(call: Call, t: Translate): string {
  if (call.cached) return t('cached')
  const answer = call.answer as { model?: string } | null
  return call.what === 'model' ? (answer?.model ?? '') : ''
}
