/**
 * What there is to configure, for whoever starts a service from a program of his own. Loads nothing heavy.
 *
 * @module @longhold/kms/config
 */

export { ConfigError } from './config-error.ts'
export { configText } from './config-text.ts'
export { readValues } from './read-values.ts'
export type { Given, ReadValues } from './read-values.ts'
export { isSettingName, settingNames, settings } from './settings.ts'
export type { Command, Setting, SettingName, Values } from './settings.ts'
