import type { Presence } from '../../api/schema'
import { msg } from '../../i18n'

export const presences: readonly Presence[] = ['online', 'away', 'offline']

export const presenceWords: Record<Presence, string> = {
  online: msg('Online'),
  away: msg('Away'),
  offline: msg('Offline'),
}

/** What each status means for the assignment of conversations. */
export const meaningWords: Record<Presence, string> = {
  online: msg('New conversations come to you'),
  away: msg('Nothing new, you keep what you have'),
  offline: msg('What you have goes to others'),
}
