/** The holder of the work. Colours show only the holder and the status. */
export type Holder = 'agent' | 'tool' | 'person' | 'flow'

export function holderOf(kind: string): Holder {
  if (kind === 'agent') return 'agent'
  if (kind === 'tool') return 'tool'
  if (kind === 'human') return 'person'
  return 'flow'
}
