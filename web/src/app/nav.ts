import type { Role } from '../api/schema'
import { said } from '../i18n'
import type { IconName } from '../ui/icon'

export interface Screen {
  to: '/runs' | '/approvals' | '/inbox/{-$conversation}' | '/chat/{-$workflow}'
  title: string
  icon: IconName
  key: string
}
interface Group {
  title: string
  roles: Role[]
  screens: Screen[]
}

const groups: Group[] = [
  {
    title: said('Work'),
    roles: ['admin', 'builder', 'operator', 'human_agent'],
    screens: [
      { to: '/inbox/{-$conversation}', title: said('Inbox'), icon: 'inbox', key: 'i' },
      { to: '/approvals', title: said('Approvals'), icon: 'approve', key: 'a' },
    ],
  },
  {
    title: said('Build'),
    roles: ['admin', 'builder'],
    screens: [{ to: '/chat/{-$workflow}', title: said('Try in chat'), icon: 'chat', key: 't' }],
  },
  {
    title: said('Watch'),
    roles: ['admin', 'builder', 'operator', 'service'],
    screens: [{ to: '/runs', title: said('Runs'), icon: 'runs', key: 'r' }],
  },
]

/** Groups a role cannot use are absent, not grey. */
export const groupsFor = (role: Role): Group[] => groups.filter((group) => group.roles.includes(role))
export const firstFor = (role: Role): Screen['to'] => (role === 'human_agent' ? '/inbox/{-$conversation}' : '/runs')
