export function document(): object
export const written: string
export function type(schema: object, indent?: string): string
export function types(document: object): string
