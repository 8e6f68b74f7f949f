/** Whoever embeds the package in TypeScript can name what its calls take and give. */
import { resolve, sep } from 'node:path';
import ts from 'typescript';

const lib = resolve(__dirname, '../../dist/lib');

const file = resolve(lib, 'index.d.ts');
const program = ts.createProgram([file], { skipLibCheck: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS });
const checker = program.getTypeChecker();
const meant = (symbol: ts.Symbol): ts.Symbol => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol);
const exported = new Set(checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file)!)!).map(meant));

test('what is exported says in a line what it is for', () => {
  const silent = [...exported].filter((symbol) => symbol.getDocumentationComment(checker).length === 0);
  expect(silent.map(({ name }) => name)).toEqual([]);
});

test('what a call, its options or its results mention is exported, too', () => {
  const unnamed: string[] = [];
  const look = (node: ts.Node, by: string): void => {
    if (ts.isConstructorDeclaration(node)) return;
    const symbol = ts.isTypeReferenceNode(node) ? checker.getSymbolAtLocation(node.typeName) : undefined;
    const type = symbol && meant(symbol);
    const ours = type?.declarations?.some((one) => !ts.isTypeParameterDeclaration(one) && resolve(one.getSourceFile().fileName).startsWith(lib + sep)); // prettier-ignore
    if (ours && !exported.has(type!)) unnamed.push(`${type!.name}, which ${by} mentions`);
    ts.forEachChild(node, (child) => look(child, by));
  };
  for (const { name, declarations = [] } of exported) {
    // What a network is executed as: its parts are the engines' alone.
    if (name !== 'Lowered') for (const declaration of declarations) look(declaration, name);
  }
  expect(exported.size).toBeGreaterThan(100);
  expect(unnamed).toEqual([]);
});
