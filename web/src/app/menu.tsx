import { Menu as Aria, Header, MenuItem, MenuSection, MenuTrigger, Popover } from 'react-aria-components'
import { type Language, languages, useT } from '../i18n'
import { Button } from '../ui/button'
import { Icon } from '../ui/icon'
import { Keys } from '../ui/kbd'
import css from '../ui/menu/menu.module.css'
import { set, type Theme, useSettings } from './settings'

export function Menu({
  name,
  role,
  onHelp,
  onOut,
}: {
  name: string
  role: string
  onHelp: () => void
  onOut: () => void
}) {
  const t = useT()
  const settings = useSettings()
  const themes: Record<Theme, string> = { light: t('Light'), dark: t('Dark'), system: t('As the system') }
  const tick = (on: boolean) => (on ? <Icon name="check" size={14} /> : <span className={css.gap} />)
  return (
    <MenuTrigger>
      <Button icon="gear" look="ghost" small iconOnly>
        {t('Settings')}
      </Button>
      <Popover className={css.popover as string} placement="top start">
        <Aria className={css.menu as string} aria-label={t('Settings')}>
          <MenuSection
            className={css.section as string}
            selectionMode="single"
            selectedKeys={[settings.theme]}
            onSelectionChange={(keys) => set({ theme: [...keys][0] as Theme })}
            disallowEmptySelection
          >
            <Header className={css.header as string}>{t('Theme')}</Header>
            {(Object.keys(themes) as Theme[]).map((theme) => (
              <MenuItem key={theme} id={theme} className={css.item as string}>
                {({ isSelected }) => (
                  <>
                    {tick(isSelected)}
                    {themes[theme]}
                  </>
                )}
              </MenuItem>
            ))}
          </MenuSection>
          <MenuSection
            className={css.section as string}
            selectionMode="single"
            selectedKeys={[settings.language]}
            onSelectionChange={(keys) => set({ language: [...keys][0] as Language })}
            disallowEmptySelection
          >
            <Header className={css.header as string}>{t('Language')}</Header>
            {Object.entries(languages).map(([language, text]) => (
              <MenuItem key={language} id={language} className={css.item as string}>
                {({ isSelected }) => (
                  <>
                    {tick(isSelected)}
                    <span lang={language}>{text}</span>
                  </>
                )}
              </MenuItem>
            ))}
          </MenuSection>
          <MenuSection className={css.section as string}>
            <Header className={css.header as string}>
              {name} · {role}
            </Header>
            <MenuItem className={css.item as string} onAction={onHelp} textValue={t('Keys of this screen')}>
              <Icon name="keys" size={14} />
              {t('Keys of this screen')}
              <span className="push">
                <Keys keys="?" />
              </span>
            </MenuItem>
            <MenuItem
              className={css.item as string}
              onAction={() => set({ letters: !settings.letters })}
              textValue={t('Single-letter keys')}
            >
              {tick(settings.letters)}
              {t('Single-letter keys')}
            </MenuItem>
            <MenuItem className={css.item as string} onAction={onOut} textValue={t('Sign out')}>
              <Icon name="out" size={14} />
              {t('Sign out')}
            </MenuItem>
          </MenuSection>
        </Aria>
      </Popover>
    </MenuTrigger>
  )
}
