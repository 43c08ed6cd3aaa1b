(function_item name: (identifier) @name.function) @def.function
(function_signature_item name: (identifier) @name.function) @def.function
(struct_item name: (type_identifier) @name.struct) @def.struct
(union_item name: (type_identifier) @name.struct) @def.struct
(enum_item name: (type_identifier) @name.enum) @def.enum
(enum_variant name: (identifier) @name.constant) @def.constant
(trait_item name: (type_identifier) @name.trait) @def.trait
(impl_item type: [
  (type_identifier) @name.impl
  (generic_type type: (type_identifier) @name.impl)
  (generic_type type: (scoped_type_identifier name: (type_identifier) @name.impl))
  (scoped_type_identifier name: (type_identifier) @name.impl)
  (reference_type type: (type_identifier) @name.impl)]) @def.impl
(mod_item name: (identifier) @name.module) @def.module
((const_item name: (identifier) @name.constant) @def.constant (#not-eq? @name.constant "_"))
(static_item name: (identifier) @name.variable) @def.variable
(type_item name: (type_identifier) @name.type) @def.type
(associated_type name: (type_identifier) @name.type) @def.type
(macro_definition name: (identifier) @name.macro) @def.macro
(field_declaration name: (field_identifier) @name.field) @def.field

(parameter pattern: (identifier) @local)
(parameter pattern: (_ (identifier) @local))
(let_declaration pattern: (identifier) @local)
(let_declaration pattern: (_ (identifier) @local))
(for_expression pattern: (identifier) @local)
(for_expression pattern: (tuple_pattern (identifier) @local))
(closure_parameters (identifier) @local)
(closure_parameters (tuple_pattern (identifier) @local))
(let_condition pattern: (tuple_struct_pattern (identifier) @local .))
(match_pattern (tuple_struct_pattern type: (_) (identifier) @local))
(field_pattern name: (shorthand_field_identifier) @local)
(type_parameter name: (type_identifier) @local)

(use_declaration argument: [
  (identifier) @ref.import
  (scoped_identifier name: (identifier) @ref.import)
  (use_as_clause path: (scoped_identifier name: (identifier) @ref.import))
  (use_wildcard (scoped_identifier name: (identifier) @ref.import))])
(use_list [
  (identifier) @ref.import
  (scoped_identifier name: (identifier) @ref.import)
  (use_as_clause path: [(identifier) @ref.import (scoped_identifier name: (identifier) @ref.import)])])
(use_as_clause alias: (identifier) @local)
(extern_crate_declaration name: (identifier) @ref.import)
(impl_item trait: [
  (type_identifier) @ref.inherit
  (generic_type type: (type_identifier) @ref.inherit)
  (scoped_type_identifier name: (type_identifier) @ref.inherit)])
(trait_item bounds: (trait_bounds (type_identifier) @ref.inherit))
(call_expression function: [
  (identifier) @ref.call
  (scoped_identifier name: (identifier) @ref.call)
  (field_expression field: (field_identifier) @ref.call)
  (generic_function function: [
    (identifier) @ref.call
    (scoped_identifier name: (identifier) @ref.call)
    (field_expression field: (field_identifier) @ref.call)])])
(macro_invocation macro: [(identifier) @ref.call (scoped_identifier name: (identifier) @ref.call)])
(assignment_expression
  left: [(identifier) @ref.write (field_expression field: (field_identifier) @member.write)])
(compound_assignment_expr
  left: [(identifier) @ref.write (field_expression field: (field_identifier) @member.write)])
(field_initializer field: (field_identifier) @member.write)
(scoped_identifier path: (identifier) @ref.type)
(attribute (identifier) @ref.other)
(type_identifier) @ref.type
(field_identifier) @member.read
(identifier) @ref.read

(line_comment) @attach
(block_comment) @attach
(attribute_item) @attach
