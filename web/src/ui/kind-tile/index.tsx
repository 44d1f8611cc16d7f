import { holderOf } from '../../graph/holder'
import { msg } from '../../i18n'
import { Icon, type IconName } from '../icon'
import css from './kind-tile.module.css'

const icons: Record<string, IconName> = {
  trigger: 'trigger',
  agent: 'agent',
  tool: 'tool',
  human: 'person',
  condition: 'cond',
  switch: 'switch',
  loop: 'loop',
  parallel: 'par',
  merge: 'merge',
  wait: 'wait',
  subworkflow: 'sub',
  transform: 'data',
  end: 'end',
  sink: 'sink',
}
export const kindWords: Record<string, string> = {
  trigger: msg('trigger'),
  agent: msg('agent'),
  tool: msg('tool'),
  human: msg('person'),
  condition: msg('condition'),
  switch: msg('switch'),
  loop: msg('loop'),
  parallel: msg('parallel'),
  merge: msg('merge'),
  wait: msg('wait'),
  subworkflow: msg('subworkflow'),
  transform: msg('transform'),
  end: msg('end'),
  sink: msg('sink'),
}

export const kindIcon = (kind: string): IconName => icons[kind] ?? 'flow'

export function KindTile({ kind, size = 28 }: { kind: string; size?: 22 | 28 | 32 }) {
  return (
    <span className={`${css.tile} ${css[holderOf(kind)]} ${css[`s${size}`]}`}>
      <Icon name={kindIcon(kind)} size={size === 22 ? 14 : 16} />
    </span>
  )
}
