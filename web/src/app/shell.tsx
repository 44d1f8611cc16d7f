import { useQuery } from '@tanstack/react-query'
import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router'
import { useState } from 'react'
import { inbox } from '../api/conversation'
import { useOwnAgent, usePresenceHeartbeat } from '../api/presence'
import { approvals } from '../api/queries'
import { type Language, languages, useT } from '../i18n'
import { Button } from '../ui/button'
import { useCommands } from '../ui/commands'
import { isOffered } from '../ui/decision/words'
import { Icon } from '../ui/icon'
import { Keys } from '../ui/kbd'
import { Presence } from '../ui/presence'
import { Corner } from '../ui/top'
import { Help, Palette } from './commands'
import { Mark } from './mark'
import { Menu } from './menu'
import { groupsFor, type Screen } from './nav'
import { set, useSettings } from './settings'
import css from './shell.module.css'
import { useSession } from './sign-in'

export function Shell() {
  const t = useT()
  const go = useNavigate()
  const { me, out } = useSession()
  const settings = useSettings()
  const agent = useOwnAgent()
  usePresenceHeartbeat()
  const path = useRouterState({ select: (s) => s.location.pathname })
  const tight = /^\/runs\/./.test(path)
  const [listOpen, openList] = useState(false)
  const [helpOpen, openHelp] = useState(false)
  const groups = groupsFor(me.role)
  const waiting = useQuery({
    ...approvals,
    enabled: groups.some((group) => group.screens.some((screen) => screen.to === '/approvals')),
  })
  const talks = useQuery({
    ...inbox,
    enabled: groups.some((group) => group.screens.some((screen) => screen.to === '/inbox/{-$conversation}')),
  })
  // Waiting for me: assigned to me, or unassigned.
  const badges: Partial<Record<Screen['to'], number>> = {
    '/approvals': waiting.data?.filter(isOffered).length ?? 0,
    '/inbox/{-$conversation}':
      talks.data?.filter((one) => one.owner === 'nobody' || one.assigned_agent_id === me.name).length ?? 0,
  }

  const dark = document.documentElement.dataset.theme === 'dark'
  useCommands([
    { id: 'list', title: t('Command list'), group: t('Page'), keys: 'mod+k', hidden: true, run: () => openList(true) },
    { id: 'help', title: t('Keys of this screen'), group: t('Page'), keys: '?', run: () => openHelp(true) },
    ...groups.flatMap((group) =>
      group.screens.map((screen) => ({
        id: `go${screen.to}`,
        title: t(screen.title),
        group: t('Go to'),
        keys: `g ${screen.key}`,
        run: () => void go({ to: screen.to, params: {} }),
      })),
    ),
    ...(['light', 'dark', 'system'] as const).map((theme) => ({
      id: `theme.${theme}`,
      title: { light: t('Light theme'), dark: t('Dark theme'), system: t('Theme of the system') }[theme],
      group: t('Page'),
      run: () => set({ theme }),
    })),
    ...Object.entries(languages).map(([language, name]) => ({
      id: `language.${language}`,
      title: name,
      group: t('Language'),
      run: () => set({ language: language as Language }),
    })),
    {
      id: 'letters',
      title: settings.letters ? t('Switch single-letter keys off') : t('Switch single-letter keys on'),
      group: t('Page'),
      run: () => set({ letters: !settings.letters }),
    },
    { id: 'out', title: t('Sign out'), group: t('Page'), run: out },
  ])

  return (
    <div className={`${css.app} ${tight ? css.tight : ''}`}>
      <a className={css.skip} href="#main">
        {t('Skip to the content')}
      </a>
      <nav className={css.nav} aria-label={t('Main')}>
        <div className={css.brand}>
          <Mark />
          <span className={css.words}>Baton</span>
        </div>
        <div className={css.tenant} title={me.tenant}>
          <span className={css.square} aria-hidden="true">
            {me.tenant.slice(0, 1).toUpperCase()}
          </span>
          <span className={`${css.words} cut`}>{me.tenant}</span>
        </div>
        <button type="button" className={css.item} onClick={() => openList(true)} title={t('Search')}>
          <Icon name="search" />
          <span className={css.label}>{t('Search')}</span>
          <span className={css.end}>
            <Keys keys="mod+k" />
          </span>
        </button>
        {groups.map((group) => (
          <div key={group.title} className={css.group}>
            <div className={css.groupName}>{t(group.title)}</div>
            {group.screens.map((screen) => (
              <Link
                key={screen.to}
                to={screen.to}
                params={{}}
                className={css.item}
                activeProps={{ 'aria-current': 'page' }}
                title={t(screen.title)}
              >
                <Icon name={screen.icon} />
                <span className={css.label}>{t(screen.title)}</span>
                {!!badges[screen.to] && (
                  <span className={`${css.end} ${css.hot} num`}>
                    {badges[screen.to]}
                    <span className="vh"> {t('waiting')}</span>
                  </span>
                )}
              </Link>
            ))}
          </div>
        ))}
        <div className={css.foot}>
          <Button
            icon={dark ? 'sun' : 'moon'}
            look="ghost"
            small
            iconOnly
            onPress={() => set({ theme: dark ? 'light' : 'dark' })}
          >
            {dark ? t('Light theme') : t('Dark theme')}
          </Button>
          <Menu name={me.name} role={me.role} onHelp={() => openHelp(true)} onOut={out} />
        </div>
      </nav>
      <main id="main" className={css.page} tabIndex={-1}>
        {me.scripted && (
          <p className={css.note}>
            <Icon name="note" size={12} />
            {t('Scripted replies, no model is called')}
          </p>
        )}
        <Corner.Provider value={agent ? <Presence of={agent} /> : null}>
          <Outlet />
        </Corner.Provider>
      </main>
      <Palette open={listOpen} onClose={() => openList(false)} />
      <Help open={helpOpen} onClose={() => openHelp(false)} />
    </div>
  )
}
