import { useT } from '../../i18n'

interface Props {
  /** What its author calls it; empty where they call it nothing. */
  label: string
  /** None where its workflow does not have it (any more): then it has its hash alone. */
  revision?: number | null | undefined
  bundle: string
}

/** The version a run is on. */
export function Version({ label, revision, bundle }: Props) {
  const t = useT()
  if (typeof revision !== 'number')
    return (
      <span className="mono dim" title={bundle}>
        {bundle.slice(0, 7)}
      </span>
    )
  return (
    <span
      title={
        label ? t('Version {label}, revision {revision}', { label, revision }) : t('Revision {revision}', { revision })
      }
    >
      {label} <span className="dim">r{revision}</span>
    </span>
  )
}
