import type { ConversationHead, Trigger } from '../../api/conversation'
import { msg } from '../../i18n'
import type { IconName } from '../../ui/icon'

/** The reasons for a handover to people. */
export const triggerWords: Record<Trigger, string> = {
  confidence_threshold: msg('Not sure enough'),
  explicit_request: msg('Asked for a person'),
  agent_decision: msg('The agent decided it'),
  error_threshold: msg('Errors in a row'),
  budget: msg('Budget used up'),
  failed_compensation: msg('Could not be undone'),
  person: msg('Taken over'),
}

export const channelIcon = (channel: string): IconName =>
  channel === 'email' ? 'mail' : channel === 'web' ? 'globe' : 'chat'

/** The customer's display name: the name if there is one, else the end of the id. */
export const nameOf = (conversation: ConversationHead): string =>
  conversation.user_id ?? `…${conversation.conversation_id.slice(-8)}`

/** Longest waiting first. */
export const byWait = (conversations: ConversationHead[]): ConversationHead[] =>
  [...conversations].sort((a, b) => Date.parse(a.updated_at) - Date.parse(b.updated_at))
