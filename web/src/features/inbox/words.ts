import type { TalkHead, Trigger } from '../../api/conversation'
import { said } from '../../i18n'
import type { IconName } from '../../ui/icon'

/** Why the baton came to people. */
export const triggerWords: Record<Trigger, string> = {
  confidence_threshold: said('Not sure enough'),
  explicit_request: said('Asked for a person'),
  agent_decision: said('The agent decided it'),
  error_threshold: said('Errors in a row'),
  budget: said('Budget used up'),
  failed_compensation: said('Could not be undone'),
  person: said('Taken over'),
}

export const channelIcon = (channel: string): IconName =>
  channel === 'email' ? 'mail' : channel === 'web' ? 'globe' : 'chat'

/** What the customer is called: a name where there is one, else the end of the id. */
export const nameOf = (talk: TalkHead): string => talk.user_id ?? `…${talk.conversation_id.slice(-8)}`

/** Who has stood still longest is first. */
export const byWait = (talks: TalkHead[]): TalkHead[] =>
  [...talks].sort((a, b) => Date.parse(a.updated_at) - Date.parse(b.updated_at))
