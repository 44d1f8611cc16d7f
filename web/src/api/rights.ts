import { useQuery } from '@tanstack/react-query'
import { me } from './queries'
import type { Role } from './schema'

/** The roles for each action, as enforced by the server, so that no action is offered that it would refuse. */
const needs: Record<'operate' | 'answer' | 'run', readonly Role[]> = {
  operate: ['admin', 'operator'],
  answer: ['admin', 'operator', 'human_agent'],
  run: ['admin', 'operator', 'builder', 'service'],
}

export function useMay(need: keyof typeof needs): boolean {
  const { data } = useQuery(me)
  return !!data && needs[need].includes(data.role)
}
