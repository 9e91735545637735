/** The fault cases, by their numbers, that single trials of the matrix are; the other trials stand for none alone. */
export const casesOf: Readonly<Record<string, string>> = {
  'record: before write': 'case 2',
  'record: half of write': 'case 3',
  'record: after write': 'case 4',
  'poll: before write': 'case 5',
  'claim: before write': 'case 6',
  'claim: after sync': 'case 7',
  'attempt: before write': 'cases 9 and 10',
  'attempt: after write': 'case 11',
  'attempt: after sync': 'cases 12, 13 and 15',
  'new part: half of write': 'case 22',
  'checkpoint: half of write': 'case 17',
  'checkpoint: before rename': 'case 18',
  'checkpoint: after rename': 'cases 19 and 20',
  'any moment': 'cases 1, 8 and 31',
};
