// TypeScript as it stands, also on a Node that cannot strip types by itself.
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const load = async (name) => {
  const { module } = await runnerImport(fileURLToPath(new URL(`./${name}.ts`, import.meta.url)));
  return module;
};
const { command } = await load('command');
process.exitCode = await command(process.argv.slice(2), load);
