import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from 'react'
import type { Graph } from '../../api/schema'
import {
  buildGraphView,
  everyNode,
  type GraphSelection,
  type GraphView,
  heightOf,
  layoutNested,
  type NestedLayout,
  type NodeView,
  placeOf,
} from '../../graph/graph-view'
import type { RunTimeline } from '../../graph/timeline'
import { useT } from '../../i18n'
import { duration, usd } from '../../i18n/format'
import { Button } from '../button'
import { Icon } from '../icon'
import { KindTile, kindWords } from '../kind-tile'
import { signOf } from '../state-sign'
import css from './live-graph.module.css'

interface Props {
  graph: Graph
  timeline: RunTimeline
  selected: string | null
  onSelect: (node: string) => void
  now: number
}

/** The graph of a run: the edges taken, the current holder, the pending nodes. Read only. */
export function LiveGraph({ graph, timeline, selected, onSelect, now }: Props) {
  const t = useT()
  const frame = useRef<HTMLDivElement>(null)
  const [follow, setFollow] = useState(true)
  const [scale, setScale] = useState(1)
  const [passes, setPasses] = useState<GraphSelection['passes']>(new Map())
  const [shut, setShut] = useState<GraphSelection['shut']>(new Set())
  const whole = useMemo(
    () => buildGraphView(graph, timeline, { selected, passes, shut }),
    [graph, timeline, selected, passes, shut],
  )
  const nested = useMemo(() => layoutNested(whole), [whole])
  const { drawing } = nested
  const active = [...everyNode(whole)].findLast(
    (node) => node.status === 'waiting' || node.status === 'running' || node.status === 'failed',
  )
  const target = follow ? (selected ?? active?.address ?? null) : null
  const aim = target ? placeOf(whole, nested, target) : null
  const [x, y, height] = aim ? [aim.x, aim.y, aim.height] : [null, null, null]

  useEffect(() => {
    const box = frame.current
    if (!box || x === null || y === null || height === null) return
    const still = matchMedia?.('(prefers-reduced-motion:reduce)').matches
    box.scrollTo?.({
      top: (y + height / 2) * scale - box.clientHeight / 2,
      left: (x + 200) * scale > box.clientWidth ? x * scale - 24 : 0,
      behavior: still ? 'auto' : 'smooth',
    })
  }, [x, y, height, scale])

  const fit = () => {
    const box = frame.current
    if (!box) return
    setFollow(false)
    setScale(
      scale === 1 ? Math.max(0.35, Math.min(1, box.clientWidth / drawing.width, box.clientHeight / drawing.height)) : 1,
    )
    box.scrollTo?.({ top: 0, left: 0 })
  }
  const waits = (address: string) => {
    const open = timeline.steps.find((step) => step.node === address)?.waits.findLast((wait) => wait.to === null)
    return open ? duration(now - open.from) : null
  }
  const toggle = (address: string) => {
    const next = new Set(shut)
    if (!next.delete(address)) next.add(address)
    setShut(next)
  }
  const turn = (address: string, pass: number) => setPasses(new Map(passes).set(address, { pass, selected }))
  return (
    <section className={css.column} aria-label={t('Live graph')}>
      <div
        className={css.frame}
        ref={frame}
        onWheel={() => setFollow(false)}
        onPointerDown={() => setFollow(false)}
        onKeyDown={focusNeighbour}
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
            <Sheet graph={whole} nested={nested} {...{ selected, onSelect, waits, toggle, turn }} />
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

/** Arrow up and down move the focus between nodes, into bodies and out of them; on the frame itself they scroll. */
function focusNeighbour(event: KeyboardEvent<HTMLElement>) {
  const by = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
  if (by === 0 || event.target === event.currentTarget) return
  const all = [...event.currentTarget.querySelectorAll<HTMLElement>('[data-node]')]
  const next = all[all.indexOf(event.target as HTMLElement) + by]
  event.preventDefault()
  next?.focus()
}

interface GraphHandlers {
  selected: string | null
  onSelect: (address: string) => void
  waits: (address: string) => string | null
  toggle: (address: string) => void
  turn: (address: string, pass: number) => void
}

/** A graph, with the graphs of its nodes' bodies nested in it. */
function Sheet({
  graph,
  nested: { drawing, inside },
  ...doing
}: GraphHandlers & { graph: GraphView; nested: NestedLayout }) {
  const t = useT()
  const statusOf = (id: string) => graph.nodes.find((node) => node.id === id)?.status
  return (
    <>
      <svg width={drawing.width} height={drawing.height} aria-hidden="true">
        {drawing.routes.map(({ edge, path }) => {
          const live = edge.taken && statusOf(edge.to) === 'waiting'
          const dead = !edge.taken && statusOf(edge.to) === 'skipped'
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
        {graph.nodes.map((node) => {
          const place = drawing.nodes.get(node.id)
          if (!place) return null
          const { x: left, y: top, width, height } = place
          const bodies = inside.get(node.id)
          const hasBodies = node.bodies.length > 0 || node.shut
          return (
            <li
              key={node.id}
              className={hasBodies ? `${css.holder} ${css[`h_${node.status}`] ?? ''}` : css.place}
              style={{ left, top, width, height }}
            >
              <NodeButton node={node} {...doing} inside={hasBodies} />
              {hasBodies && <NodeControls node={node} {...doing} />}
              {bodies?.map(({ x, y, body, nested }) => (
                <div
                  key={body.branch}
                  className={css.inner}
                  style={{ left: x, top: y, width: nested.drawing.width, height: nested.drawing.height }}
                  role="group"
                  aria-label={body.branch ? t('branch {name}', { name: body.branch }) : t('in each pass')}
                >
                  {body.branch && <span className={`${css.branch} cut`}>{body.branch}</span>}
                  <Sheet graph={body} nested={nested} {...doing} />
                </div>
              ))}
            </li>
          )
        })}
      </ol>
    </>
  )
}

/** The controls of a node with bodies: selects the pass, and collapses or expands the bodies. */
function NodeControls({ node, toggle, turn }: { node: NodeView } & GraphHandlers) {
  const t = useT()
  const name = node.name ?? node.id
  const { passes } = node
  return (
    <span className={css.hold}>
      {passes && passes.count > 1 && !node.shut && (
        <>
          <Button
            small
            look="ghost"
            icon="left"
            iconOnly
            isDisabled={passes.shownPass === 0}
            onPress={() => turn(node.address, passes.shownPass - 1)}
          >
            {t('{name}: the pass before', { name })}
          </Button>
          <span className={css.pass} role="status">
            {t('{n} of {count}', { n: passes.shownPass + 1, count: passes.count })}
          </span>
          <Button
            small
            look="ghost"
            icon="right"
            iconOnly
            isDisabled={passes.shownPass === passes.count - 1}
            onPress={() => turn(node.address, passes.shownPass + 1)}
          >
            {t('{name}: the next pass', { name })}
          </Button>
        </>
      )}
      <Button
        small
        look="ghost"
        icon={node.shut ? 'plus' : 'minus'}
        iconOnly
        aria-expanded={!node.shut}
        onPress={() => toggle(node.address)}
      >
        {node.shut ? t('Show what is in {name}', { name }) : t('Hide what is in {name}', { name })}
      </Button>
    </span>
  )
}

function NodeButton({ node, selected, onSelect, waits, inside }: { node: NodeView; inside: boolean } & GraphHandlers) {
  const t = useT()
  const sign = signOf(node.status)
  const kind = t(kindWords[node.kind] ?? node.kind)
  const { passes } = node
  return (
    <button
      type="button"
      data-node={node.address}
      className={`${css.node} ${css[node.status] ?? ''} ${selected === node.address ? css.selected : ''} ${inside ? css.head : ''} ${passes && passes.count > 1 && !node.shut ? css.turned : ''}`}
      style={{ height: heightOf(node) }}
      aria-pressed={selected === node.address}
      onClick={() => onSelect(node.address)}
    >
      <span className={css.body}>
        <KindTile kind={node.kind} />
        <span className="cut">
          <b className="cut">{node.name ?? node.id}</b>
          <small className="cut">
            {passes ? t('{n, plural, one {# pass} other {# passes}}', { n: passes.count }) : (node.calls ?? kind)}
          </small>
          <span className="vh">
            , {kind}, {t(sign.word)}{' '}
          </span>
        </span>
        {node.undoable && <Icon name="undo" size={12} className="undo-c" label={t('can be undone')} />}
      </span>
      {node.footed && (
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
              ? waits(node.address)
              : node.tries > 1
                ? t('{n} tries', { n: node.tries })
                : (node.cost_usd ?? 0) > 0
                  ? usd(node.cost_usd)
                  : ''}
          </span>
        </span>
      )}
    </button>
  )
}
