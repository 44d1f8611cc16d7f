import { useEffect, useMemo, useRef, useState } from 'react'
import type { Graph, GraphNode } from '../../api/schema'
import { layout } from '../../graph/layout'
import type { Story } from '../../graph/story'
import { useT } from '../../i18n'
import { duration, usd } from '../../i18n/format'
import { Button } from '../button'
import { Icon } from '../icon'
import { KindTile, kindWords } from '../kind-tile'
import { signOf } from '../state-sign'
import css from './live-graph.module.css'

const plain = 48
const footed = 71

export interface Shown extends GraphNode {
  tries: number
  undoable: boolean
}

/** The server's drawing, with what the journal already knows better. */
export function shown(graph: Graph, story: Story): Shown[] {
  const steps = new Map(story.steps.map((step) => [step.node, step]))
  return graph.nodes.map((node) => {
    const step = steps.get(node.id)
    const calls = step?.calls.filter((call) => !call.undo) ?? []
    const settled = ['completed', 'failed', 'skipped', 'cancelled'].includes(node.status)
    const status =
      step && (!settled || step.status === 'running' || step.status === 'waiting') ? step.status : node.status
    return {
      ...node,
      ...(calls[0] && step?.holder === 'tool' ? { calls: calls[0].name } : step?.agent ? { calls: step.agent } : {}),
      status,
      tries: step?.holder === 'tool' ? calls.reduce((most, call) => Math.max(most, call.attempts.length), 0) : 0,
      undoable: calls.some(
        (call) => typeof call.way_back === 'object' && call.way_back !== null && 'call' in call.way_back,
      ),
    }
  })
}

interface Props {
  graph: Graph
  story: Story
  selected: string | null
  onSelect: (node: string) => void
  now: number
}

/** The workflow as it ran: what was taken, who holds the baton, what is still to come. Read only. */
export function LiveGraph({ graph, story, selected, onSelect, now }: Props) {
  const t = useT()
  const frame = useRef<HTMLDivElement>(null)
  const [follow, setFollow] = useState(true)
  const [scale, setScale] = useState(1)
  const nodes = shown(graph, story)
  const has = (node: Shown) =>
    node.duration_ms != null ||
    (node.cost_usd ?? 0) > 0 ||
    node.status === 'running' ||
    node.status === 'waiting' ||
    node.status === 'failed'
  const feet = nodes
    .filter(has)
    .map((node) => node.id)
    .join()
  const drawing = useMemo(() => {
    const withFoot = new Set(feet.split(','))
    return layout(graph, (id) => (withFoot.has(id) ? footed : plain))
  }, [graph, feet])
  const active =
    nodes.findLast((node) => node.status === 'waiting' || node.status === 'running' || node.status === 'failed')?.id ??
    null
  const target = follow ? (selected ?? active) : null

  useEffect(() => {
    const box = frame.current
    const place = target ? drawing.nodes.get(target) : null
    if (!box || !place) return
    const still = matchMedia?.('(prefers-reduced-motion:reduce)').matches
    box.scrollTo?.({
      top: (place.y + place.height / 2) * scale - box.clientHeight / 2,
      left: place.x * scale + place.width * scale > box.clientWidth ? place.x * scale - 24 : 0,
      behavior: still ? 'auto' : 'smooth',
    })
  }, [target, drawing, scale])

  const fit = () => {
    const box = frame.current
    if (!box) return
    setFollow(false)
    setScale(
      scale === 1 ? Math.max(0.35, Math.min(1, box.clientWidth / drawing.width, box.clientHeight / drawing.height)) : 1,
    )
    box.scrollTo?.({ top: 0, left: 0 })
  }
  const waits = (id: string) => {
    const open = story.steps.find((step) => step.node === id)?.waits.findLast((wait) => wait.to === null)
    return open ? duration(now - open.from) : null
  }
  return (
    <section className={css.column} aria-label={t('Live graph')}>
      <div
        className={css.frame}
        ref={frame}
        onWheel={() => setFollow(false)}
        onPointerDown={() => setFollow(false)}
        tabIndex={0}
        role="group"
        aria-label={t('Graph of the run')}
      >
        <div className={css.sheet} style={{ width: drawing.width * scale, height: drawing.height * scale }}>
          <div
            className={css.scaled}
            style={{
              width: drawing.width,
              height: drawing.height,
              transform: scale === 1 ? undefined : `scale(${scale})`,
            }}
          >
            <svg width={drawing.width} height={drawing.height} aria-hidden="true">
              {drawing.routes.map(({ edge, path }) => {
                const live = edge.taken && nodes.find((node) => node.id === edge.to)?.status === 'waiting'
                const dead = !edge.taken && nodes.find((node) => node.id === edge.to)?.status === 'skipped'
                return (
                  <path
                    key={`${edge.from}/${edge.to}/${edge.label ?? ''}`}
                    d={path}
                    className={`${css.edge} ${live ? css.held : edge.taken ? css.taken : dead ? css.dead : ''} ${edge.on_error ? css.error : ''}`}
                  />
                )
              })}
            </svg>
            {drawing.routes.map(({ edge, label }) =>
              label && (edge.label || edge.on_error) ? (
                <span
                  key={`${edge.from}/${edge.to}`}
                  className={`${css.label} ${edge.on_error ? css.labelError : ''}`}
                  style={{ left: label.x, top: label.y }}
                >
                  {edge.on_error ? t('on error') : edge.label}
                </span>
              ) : null,
            )}
            <ol>
              {nodes.map((node) => {
                const place = drawing.nodes.get(node.id)
                if (!place) return null
                const sign = signOf(node.status)
                const name = node.name ?? node.id
                return (
                  <li key={node.id}>
                    <button
                      type="button"
                      className={`${css.node} ${css[node.status] ?? ''} ${selected === node.id ? css.selected : ''}`}
                      style={{ left: place.x, top: place.y, width: place.width, height: place.height }}
                      aria-pressed={selected === node.id}
                      onClick={() => onSelect(node.id)}
                    >
                      <span className={css.body}>
                        <KindTile kind={node.kind} />
                        <span className="cut">
                          <b className="cut">{name}</b>
                          <small className="cut">{node.calls ?? t(kindWords[node.kind] ?? node.kind)}</small>
                          <span className="vh">
                            , {t(kindWords[node.kind] ?? node.kind)}, {t(sign.word)}{' '}
                          </span>
                        </span>
                        {node.undoable && <Icon name="undo" size={12} className="undo-c" label={t('can be undone')} />}
                      </span>
                      {has(node) && (
                        <span className={css.foot}>
                          <Icon
                            name={sign.icon}
                            size={12}
                            className={`${css[`t_${sign.tone}`]} ${node.status === 'running' ? 'spin' : ''}`}
                          />
                          <span>
                            {node.status === 'waiting'
                              ? t(sign.word)
                              : node.duration_ms != null
                                ? duration(node.duration_ms)
                                : t(sign.word)}
                          </span>
                          <span className="push">
                            {node.status === 'waiting'
                              ? waits(node.id)
                              : node.tries > 1
                                ? t('{n} tries', { n: node.tries })
                                : (node.cost_usd ?? 0) > 0
                                  ? usd(node.cost_usd)
                                  : ''}
                          </span>
                        </span>
                      )}
                    </button>
                  </li>
                )
              })}
            </ol>
          </div>
        </div>
      </div>
      <div className={css.float}>
        <Button icon="fit" look="ghost" small iconOnly onPress={fit}>
          {scale === 1 ? t('Fit') : t('Full size')}
        </Button>
        <Button
          look="ghost"
          small
          aria-pressed={follow}
          onPress={() => setFollow(!follow)}
          icon={follow ? 'check' : 'ring'}
        >
          {t('Follow')}
        </Button>
      </div>
    </section>
  )
}
