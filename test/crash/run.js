// TypeScript as it stands, also on a Node that cannot strip types by itself.
import { runnerImport } from 'vite';

const { module } = await runnerImport(new URL('./command.ts', import.meta.url).pathname);
process.exitCode = await module.command(process.argv.slice(2));
