import { useQuery } from '@tanstack/react-query'
import { useOwnAgent, usePresence } from '../../api/presence'
import { me } from '../../api/queries'
import type { HumanAgent } from '../../api/schema'
import { useT } from '../../i18n'
import { Button } from '../../ui/button'
import { Icon } from '../../ui/icon'
import { Problem } from '../../ui/states'
import css from './inbox.module.css'

/** Why no new conversation is assigned to me; renders nothing where I am available. */
export function AvailabilityBanner() {
  const t = useT()
  const role = useQuery(me).data?.role
  const agent = useOwnAgent()
  if (agent) return <AvailabilityNotice agent={agent} />
  // Only human agents expect conversations; other roles only watch.
  return agent === null && role === 'human_agent' ? (
    <p className={css.notice} role="status">
      <Icon name="note" size={14} />
      {t('You are not on the desk: nothing is given to you, but you can take over. An admin puts you on it.')}
    </p>
  ) : null
}

function AvailabilityNotice({ agent }: { agent: HumanAgent }) {
  const t = useT()
  const presence = usePresence(agent.id)
  const full = agent.current_load >= agent.max_capacity
  if (agent.status === 'online' && !full && !presence.error) return null
  return (
    <div className={css.notice} role="status">
      <Icon name={agent.status === 'online' ? 'note' : 'hold'} size={14} />
      <p>
        {agent.status === 'away'
          ? t('You are away: nothing new is given to you, and you keep what you have.')
          : agent.status === 'offline'
            ? t('You are offline: nothing is given to you.')
            : t(
                'You have as many as you take at a time: nothing new is given to you until one is resolved or passed on.',
              )}
      </p>
      {agent.status !== 'online' && (
        <Button small busy={presence.isPending} onPress={() => presence.mutate('online')}>
          {t('Go online')}
        </Button>
      )}
      {presence.error && <Problem problem={presence.error} inline />}
    </div>
  )
}
