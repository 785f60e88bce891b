/** For `pnpm run migrations`, which writes the SQL that the service applies at start. */
export default {
  dialect: 'sqlite',
  schema: './src/store/sqlite/schema.ts',
  out: './migrations/sqlite',
}
