/** The configuration that `relay init` writes: it runs as it is against `relay sandbox`. */
export const sandboxConfig = {
  source: {
    environment: 'us-sandbox',
    apiUrl: 'http://127.0.0.1:4010/api',
    clientId: `\${FULLSCRIPT_CLIENT_ID}`,
    clientSecret: `\${FULLSCRIPT_CLIENT_SECRET}`,
  },
  clinics: [
    {
      name: 'Washington',
      accessToken: 'sandbox-access-washington',
      refreshToken: 'sandbox-refresh-washington',
    },
    {
      name: 'New York',
      accessToken: 'sandbox-access-new-york',
      refreshToken: 'sandbox-refresh-new-york',
    },
  ],
  subscribers: [],
  delivery: {
    allow: ['127.0.0.1', 'localhost'],
  },
  store: { kind: 'file', path: './data' },
  server: { host: '127.0.0.1', port: 8080 },
} as const;

/** The app that the sandbox knows. */
export const sandboxEnv = {
  FULLSCRIPT_CLIENT_ID: 'sandbox-client',
  FULLSCRIPT_CLIENT_SECRET: 'sandbox-secret',
} as const;
