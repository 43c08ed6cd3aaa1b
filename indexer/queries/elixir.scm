; Everything is a call: predicates tell them apart. @clause joins neighbours of one name (tags.py).

((call target: (identifier) @_define (arguments . (alias) @name.module)) @def.module
  (#eq? @_define "defmodule"))
((call target: (identifier) @_define (arguments . (alias) @name.interface)) @def.interface
  (#eq? @_define "defprotocol"))
((call target: (identifier) @_define (arguments . (alias) @name.impl)) @def.impl
  (#eq? @_define "defimpl"))
((call target: (identifier) @_define (arguments . [
    (identifier) @name.function
    (call target: (identifier) @name.function)
    (binary_operator left: (call target: (identifier) @name.function))
    (binary_operator left: (identifier) @name.function)])) @def.function @clause
  (#any-of? @_define "def" "defp" "defdelegate" "defn" "defnp"))
((call target: (identifier) @_define (arguments . [
    (identifier) @name.macro
    (call target: (identifier) @name.macro)
    (binary_operator left: (call target: (identifier) @name.macro))])) @def.macro @clause
  (#any-of? @_define "defmacro" "defmacrop" "defguard" "defguardp"))
((call target: (identifier) @_define (arguments . (string . (quoted_content) @name.test))) @def.test
  (#any-of? @_define "test" "describe" "property"))
((unary_operator operator: "@" operand: (call target: (identifier) @_attribute (arguments . (binary_operator
    left: [(identifier) @name.type (call target: (identifier) @name.type)])))) @def.type
  (#any-of? @_attribute "type" "typep" "opaque"))
((unary_operator operator: "@" operand: (call target: (identifier) @name.constant)) @def.constant
  (#not-match? @name.constant "^(typep?|opaque|(module|type)?doc|spec|(macro)?callback|impl|behaviour|derive)$")
  (#not-match? @name.constant "^(enforce_keys|dialyzer|deprecated|(module|describe)?tag|optional_callbacks|compile)$"))
((unary_operator operator: "@" operand: (call target: (identifier) @_attribute (arguments . (binary_operator
    left: (call target: (identifier) @name.method))))) @def.method
  (#any-of? @_attribute "callback" "macrocallback"))
((call target: (identifier) @_define (arguments . [
    (list (atom) @name.field)
    (list (keywords (pair key: (keyword) @name.field)))
    (keywords (pair key: (keyword) @name.field))])) @def.field
  (#any-of? @_define "defstruct" "defexception"))

((call target: (identifier) @_define (arguments . [
    (call (arguments (identifier) @local))
    (binary_operator left: (call (arguments (identifier) @local)))
    (call (arguments (binary_operator left: (identifier) @local)))]))
  (#any-of? @_define "def" "defp" "defmacro" "defmacrop"))
(binary_operator left: (identifier) @local operator: "=")
(stab_clause left: (arguments (identifier) @local))

((call target: (identifier) @_import (arguments . [(alias) @ref.import (dot left: (alias) @ref.import)]))
  (#any-of? @_import "import" "alias" "require" "use"))
((call target: (identifier) @_import (arguments . (dot right: (tuple (alias) @ref.import))))
  (#any-of? @_import "import" "alias" "require" "use"))
; No names of the program, so no references to it.
((call target: (identifier) @local)
  (#match? @local "^(def[a-z]*|use|import|alias|require|quote|unquote|test|describe)$"))
(call target: [(identifier) @ref.call (dot right: (identifier) @ref.call)])
(alias) @ref.type
(dot right: (identifier) @member.read)
(identifier) @ref.read

(comment) @attach
((unary_operator operator: "@" operand: (call target: (identifier) @_doc)) @attach
  (#any-of? @_doc "doc" "spec" "impl" "deprecated" "tag"))
