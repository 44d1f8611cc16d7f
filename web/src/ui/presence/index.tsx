import { useState } from 'react'
import { Header, Menu, MenuItem, MenuSection, MenuTrigger, Popover } from 'react-aria-components'
import { usePresence } from '../../api/presence'
import type { HumanAgent, Presence as There } from '../../api/schema'
import { useT } from '../../i18n'
import { Button } from '../button'
import { useCommands } from '../commands'
import { Icon } from '../icon'
import menu from '../menu/menu.module.css'
import { Sheet } from '../sheet'
import { Problem } from '../states'
import { toast } from '../toast'
import css from './presence.module.css'
import { meaningWords, presences, presenceWords } from './words'

/** Above this number of pips, only the number is shown. */
const pipsMost = 8

/** My presence and load, by which the server assigns conversations. */
export function Presence({ of }: { of: HumanAgent }) {
  const t = useT()
  const update = usePresence(of.id)
  const [open, setOpen] = useState(false)
  const [leaving, setLeaving] = useState(false)
  const become = (status: There) =>
    update.mutate(status, { onSuccess: () => toast(t('Presence: {presence}', { presence: t(presenceWords[status]) })) })
  const choose = (status: There) => {
    if (status === of.status) return
    // Going offline hands the open conversations to others: ask first.
    if (status === 'offline' && of.current_load > 0) return setLeaving(true)
    become(status)
  }
  useCommands([
    { id: 'presence', title: t('Presence…'), group: t('Presence'), keys: 'p', run: () => setOpen(true) },
    ...presences
      .filter((status) => status !== of.status)
      .map((status) => ({
        id: `presence.${status}`,
        title: t(presenceWords[status]),
        group: t('Presence'),
        run: () => choose(status),
      })),
  ])
  return (
    <>
      <Load of={of} />
      <MenuTrigger isOpen={open} onOpenChange={setOpen}>
        <Button aria-label={t('Presence: {presence}', { presence: t(presenceWords[of.status]) })}>
          <span className={`${css.dot} ${css[of.status]}`} />
          {t(presenceWords[of.status])}
          <Icon name="down" size={12} className="dim" />
        </Button>
        <Popover className={menu.popover as string} placement="bottom end">
          {/* Selection is on the whole menu, not on a section, so that keyboard focus starts at the selected item. */}
          <Menu
            className={menu.menu as string}
            aria-label={t('Presence')}
            selectionMode="single"
            selectedKeys={[of.status]}
            onSelectionChange={(keys) => {
              const [status] = [...keys]
              if (status) choose(status as There)
            }}
            disallowEmptySelection
          >
            <MenuSection className={menu.section as string}>
              <Header className={menu.header as string}>{t('Presence')}</Header>
              {presences.map((status) => (
                <MenuItem
                  key={status}
                  id={status}
                  textValue={t(presenceWords[status])}
                  className={`${menu.item} ${css.choice}`}
                >
                  {({ isSelected }) => (
                    <>
                      <span className={`${css.dot} ${css[status]}`} />
                      <span>
                        {t(presenceWords[status])}
                        <span className={css.meaning}>{t(meaningWords[status])}</span>
                      </span>
                      {isSelected && (
                        <span className="push">
                          <Icon name="check" size={14} />
                        </span>
                      )}
                    </>
                  )}
                </MenuItem>
              ))}
            </MenuSection>
          </Menu>
        </Popover>
      </MenuTrigger>
      <Sheet
        title={t('Go offline')}
        open={leaving}
        onClose={() => setLeaving(false)}
        foot={
          <>
            <Button look="ghost" onPress={() => setLeaving(false)}>
              {t('Back')}
            </Button>
            <Button
              look="primary"
              busy={update.isPending}
              onPress={() => {
                become('offline')
                setLeaving(false)
              }}
            >
              {t('Go offline')}
            </Button>
          </>
        }
      >
        <p>
          {t(
            '{n, plural, one {# conversation is with you. It goes back to the line, to its old place, and is given to somebody else.} other {# conversations are with you. They go back to the line, to their old places, and are given to others.}}',
            { n: of.current_load },
          )}
        </p>
        <p className="mid">{t('Away, you keep what you have and are given nothing new.')}</p>
      </Sheet>
      <Sheet title={t('Presence')} open={!!update.error} onClose={() => update.reset()}>
        {update.error && <Problem problem={update.error} inline />}
      </Sheet>
    </>
  )
}

/** The number of my open conversations, of the maximum at a time. */
function Load({ of: { current_load: has, max_capacity: most } }: { of: HumanAgent }) {
  const t = useT()
  return (
    <span className={css.load} title={t('Conversations with you, of as many as you take at a time')}>
      <span className={css.word}>{t('With me')}</span>
      {most <= pipsMost && (
        <span className={css.pips} aria-hidden="true">
          {Array.from({ length: most }, (_, i) => (
            <i key={i} className={i < has ? css.full : undefined} />
          ))}
        </span>
      )}
      <span className="num nowrap">{t('{has} of {most}', { has, most })}</span>
    </span>
  )
}
