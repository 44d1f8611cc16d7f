/** Who holds the work. The only thing, with how it goes, that colour says. */
export type Holder = 'agent' | 'tool' | 'person' | 'flow'

export function holderOf(kind: string): Holder {
  if (kind === 'agent') return 'agent'
  if (kind === 'tool') return 'tool'
  if (kind === 'human') return 'person'
  return 'flow'
}
