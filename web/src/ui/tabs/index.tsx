import type { ReactNode } from 'react'
import { Tabs as Aria, Tab, TabList, TabPanel } from 'react-aria-components'
import css from './tabs.module.css'

export interface TabOf {
  id: string
  title: string
  count?: number | undefined
  body: () => ReactNode
}

export function Tabs({
  label,
  tabs,
  selected,
  onSelect,
  aside,
}: {
  label: string
  tabs: TabOf[]
  selected: string
  onSelect: (id: string) => void
  aside?: ReactNode
}) {
  return (
    <Aria className={css.tabs as string} selectedKey={selected} onSelectionChange={(key) => onSelect(String(key))}>
      <div className={css.bar}>
        <TabList aria-label={label} className={css.list as string}>
          {tabs.map((tab) => (
            <Tab key={tab.id} id={tab.id} className={css.tab as string}>
              {tab.title}
              {tab.count !== undefined && <span className="num">{tab.count}</span>}
            </Tab>
          ))}
        </TabList>
        {aside && <div className={css.aside}>{aside}</div>}
      </div>
      {tabs.map((tab) => (
        <TabPanel key={tab.id} id={tab.id} className={css.panel as string}>
          {tab.id === selected && tab.body()}
        </TabPanel>
      ))}
    </Aria>
  )
}
