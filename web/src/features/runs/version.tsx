import { useT } from '../../i18n'

interface Props {
  /** The author's label; empty if there is none. */
  label: string
  /** `null` where the workflow does not have this version (any more): then only the hash is shown. */
  revision?: number | null | undefined
  bundle: string
}

/** The version of a run. */
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
