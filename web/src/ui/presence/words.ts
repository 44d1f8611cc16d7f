import type { Presence } from '../../api/schema'
import { said } from '../../i18n'

export const presences: readonly Presence[] = ['online', 'away', 'offline']

export const presenceWords: Record<Presence, string> = {
  online: said('Online'),
  away: said('Away'),
  offline: said('Offline'),
}

/** What each means for who is given what. */
export const meaningWords: Record<Presence, string> = {
  online: said('New conversations come to you'),
  away: said('Nothing new, you keep what you have'),
  offline: said('What you have goes to others'),
}
