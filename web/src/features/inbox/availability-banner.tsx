import { useQuery } from '@tanstack/react-query'
import { useOwnAgent, usePresence } from '../../api/presence'
import { me } from '../../api/queries'
import type { HumanAgent } from '../../api/schema'
import { useT } from '../../i18n'
import { Button } from '../../ui/button'
import { Icon } from '../../ui/icon'
import { Problem } from '../../ui/states'
import css from './inbox.module.css'

/** Why nothing new comes to me; says nothing where something does. */
export function AvailabilityBanner() {
  const t = useT()
  const role = useQuery(me).data?.role
  const seat = useOwnAgent()
  if (seat) return <AvailabilityNotice seat={seat} />
  // Others look on; whoever answers people by trade expects to be given something.
  return seat === null && role === 'human_agent' ? (
    <p className={css.notice} role="status">
      <Icon name="note" size={14} />
      {t('You are not on the desk: nothing is given to you, but you can take over. An admin puts you on it.')}
    </p>
  ) : null
}

function AvailabilityNotice({ seat }: { seat: HumanAgent }) {
  const t = useT()
  const say = usePresence(seat.id)
  const full = seat.current_load >= seat.max_capacity
  if (seat.status === 'online' && !full && !say.error) return null
  return (
    <div className={css.notice} role="status">
      <Icon name={seat.status === 'online' ? 'note' : 'hold'} size={14} />
      <p>
        {seat.status === 'away'
          ? t('You are away: nothing new is given to you, and you keep what you have.')
          : seat.status === 'offline'
            ? t('You are offline: nothing is given to you.')
            : t(
                'You have as many as you take at a time: nothing new is given to you until one is resolved or passed on.',
              )}
      </p>
      {seat.status !== 'online' && (
        <Button small busy={say.isPending} onPress={() => say.mutate('online')}>
          {t('Go online')}
        </Button>
      )}
      {say.error && <Problem problem={say.error} inline />}
    </div>
  )
}
