import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { heads, type RunsFilter } from '../../api/queries'
import type { Head } from '../../api/schema'

const poll_ms = 4_000

/** The runs as they were listed, each kept up to date in place; what is new is counted, and shown when it is asked for. */
export function useRuns(filter: RunsFilter) {
  const pages = useInfiniteQuery({
    queryKey: ['runs', filter],
    queryFn: ({ pageParam }) => heads(filter, pageParam),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
    refetchOnWindowFocus: false,
    staleTime: Number.POSITIVE_INFINITY,
  })
  const newest = useQuery({
    queryKey: ['runs-newest', filter],
    queryFn: () => heads(filter),
    refetchInterval: poll_ms,
    enabled: pages.isSuccess,
  })
  // Without the filter, so that a run that left the filtered state is seen to have left it.
  const any = useQuery({
    queryKey: ['runs-newest', { workflow: filter.workflow }],
    queryFn: () => heads({ workflow: filter.workflow }),
    refetchInterval: poll_ms,
    enabled: pages.isSuccess && !!filter.state,
  })
  const now = new Map<string, Head>(
    [...(any.data?.executions ?? []), ...(newest.data?.executions ?? [])].map((head) => [head.execution_id, head]),
  )
  const listed = pages.data?.pages.flatMap((page) => page.executions) ?? []
  const known = new Set(listed.map((head) => head.execution_id))
  const rows = listed.map((head) => now.get(head.execution_id) ?? head)
  const fresh = (newest.data?.executions ?? []).filter(
    (head) => !known.has(head.execution_id) && head.created_at > (listed[0]?.created_at ?? ''),
  ).length
  return { pages, rows, fresh, lost: newest.isError && newest.dataUpdatedAt ? newest.dataUpdatedAt : null }
}
