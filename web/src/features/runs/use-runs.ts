import { useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query'
import { useMemo } from 'react'
import { heads, type RunsFilter } from '../../api/queries'
import type { Head, Heads } from '../../api/schema'

const poll_ms = 4_000
const firstPage = 50
const nextPages = 200

/** The listed runs, updated in place. New runs are counted, and shown on request. */
export function useRuns(filter: RunsFilter) {
  const client = useQueryClient()
  const key = ['runs', filter]
  const pages = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam }) => heads(filter, pageParam, pageParam ? nextPages : firstPage),
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
  // Without the filter, so that a run that left the filtered state is updated too.
  const any = useQuery({
    queryKey: ['runs-newest', { workflow: filter.workflow }],
    queryFn: () => heads({ workflow: filter.workflow }),
    refetchInterval: poll_ms,
    enabled: pages.isSuccess && !!filter.state,
  })
  const listed = useMemo(() => pages.data?.pages.flatMap((page) => page.executions) ?? [], [pages.data])
  const rows = useMemo(() => {
    const now = new Map<string, Head>(
      [...(any.data?.executions ?? []), ...(newest.data?.executions ?? [])].map((head) => [head.execution_id, head]),
    )
    return listed.map((head) => now.get(head.execution_id) ?? head)
  }, [listed, any.data, newest.data])
  const fresh = useMemo(() => {
    const knownIds = new Set(listed.map((head) => head.execution_id))
    return (newest.data?.executions ?? []).filter(
      (head) => !knownIds.has(head.execution_id) && head.created_at > (listed[0]?.created_at ?? ''),
    ).length
  }, [listed, newest.data])
  /** Back to the first page; the others are loaded on scroll. */
  const again = () => {
    client.setQueryData(key, (old: { pages: Heads[]; pageParams: unknown[] } | undefined) =>
      old ? { pages: old.pages.slice(0, 1), pageParams: old.pageParams.slice(0, 1) } : old,
    )
    void pages.refetch()
  }
  return { pages, rows, fresh, again, lost: newest.isError && newest.dataUpdatedAt ? newest.dataUpdatedAt : null }
}
