import { createRootRoute, createRoute, createRouter, Link, lazyRouteComponent, Navigate } from '@tanstack/react-router'
import { RunsList } from '../features/runs/list'
import { useT } from '../i18n'
import { Empty } from '../ui/states'
import { firstFor } from './nav'
import { Shell } from './shell'
import { useSession } from './sign-in'

const text = (value: unknown): string | undefined => (typeof value === 'string' && value ? value : undefined)

function First() {
  const { me } = useSession()
  return <Navigate to={firstFor(me.role)} replace />
}
function Nowhere() {
  const t = useT()
  return (
    <Empty
      action={
        <Link to="/" className="link">
          {t('To the first screen')}
        </Link>
      }
    >
      {t('There is no such screen.')}
    </Empty>
  )
}

const root = createRootRoute({ component: Shell, notFoundComponent: Nowhere })
const first = createRoute({ getParentRoute: () => root, path: '/', component: First })
const runs = createRoute({
  getParentRoute: () => root,
  path: '/runs',
  validateSearch: (search): { state?: string; workflow?: string } => {
    const state = text(search.state)
    const workflow = text(search.workflow)
    return { ...(state ? { state } : {}), ...(workflow ? { workflow } : {}) }
  },
  component: RunsList,
})
const run = createRoute({
  getParentRoute: () => root,
  path: '/runs/$id',
  validateSearch: (search): { step?: string; tab?: string } => {
    const step = text(search.step)
    const tab = text(search.tab)
    return { ...(step ? { step } : {}), ...(tab ? { tab } : {}) }
  },
  component: lazyRouteComponent(() => import('../features/runs/view'), 'RunView'),
})
const approvals = createRoute({
  getParentRoute: () => root,
  path: '/approvals',
  validateSearch: (search): { id?: string } => {
    const id = text(search.id)
    return id ? { id } : {}
  },
  component: lazyRouteComponent(() => import('../features/approvals'), 'Approvals'),
})
const inbox = createRoute({
  getParentRoute: () => root,
  path: '/inbox/{-$conversation}',
  validateSearch: (search): { show?: 'resolved' } => (search.show === 'resolved' ? { show: 'resolved' } : {}),
  component: lazyRouteComponent(() => import('../features/inbox'), 'Inbox'),
})
const chat = createRoute({
  getParentRoute: () => root,
  path: '/chat/{-$workflow}',
  validateSearch: (search): { run?: string } => {
    const run = text(search.run)
    return run ? { run } : {}
  },
  component: lazyRouteComponent(() => import('../features/chat'), 'Chat'),
})

export const router = createRouter({
  routeTree: root.addChildren([first, runs, run, approvals, inbox, chat]),
  defaultPreload: 'intent',
  defaultNotFoundComponent: Nowhere,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
