import type { Role } from '../api/schema'
import { msg } from '../i18n'
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
    title: msg('Work'),
    roles: ['admin', 'builder', 'operator', 'human_agent'],
    screens: [
      { to: '/inbox/{-$conversation}', title: msg('Inbox'), icon: 'inbox', key: 'i' },
      { to: '/approvals', title: msg('Approvals'), icon: 'approve', key: 'a' },
    ],
  },
  {
    title: msg('Build'),
    roles: ['admin', 'builder'],
    screens: [{ to: '/chat/{-$workflow}', title: msg('Try in chat'), icon: 'chat', key: 't' }],
  },
  {
    title: msg('Watch'),
    roles: ['admin', 'builder', 'operator', 'service'],
    screens: [{ to: '/runs', title: msg('Runs'), icon: 'runs', key: 'r' }],
  },
]

/** Groups a role cannot use are hidden, not disabled. */
export const groupsFor = (role: Role): Group[] => groups.filter((group) => group.roles.includes(role))
export const firstFor = (role: Role): Screen['to'] => (role === 'human_agent' ? '/inbox/{-$conversation}' : '/runs')
