; On top of c.scm.

(class_specifier name: [
  (type_identifier) @name.class
  (template_type name: (type_identifier) @name.class)
  (qualified_identifier name: (type_identifier) @name.class)] body: (_)) @def.class
(struct_specifier name: [
  (template_type name: (type_identifier) @name.struct)
  (qualified_identifier name: (type_identifier) @name.struct)] body: (_)) @def.struct
(namespace_definition name: (_) @name.module) @def.module
(alias_declaration name: (type_identifier) @name.type) @def.type
(concept_definition name: (identifier) @name.type) @def.type

; Functions: the name may be a field, an operator, a destructor, or qualified, under `*` or `&`.
(function_definition declarator: [
  (function_declarator declarator: [(field_identifier) (destructor_name) (operator_name)] @name.method)
  (_ (function_declarator declarator: [(field_identifier) (destructor_name) (operator_name)] @name.method))
  (_ (_ (function_declarator declarator: (field_identifier) @name.method)))]) @def.method
(function_definition declarator: (operator_cast "operator" @name.method)) @def.method
(function_definition declarator: [
  (function_declarator declarator: (qualified_identifier
    name: [(identifier) (destructor_name) (operator_name)] @name.method))
  (function_declarator declarator: (qualified_identifier name: (qualified_identifier
    name: [(identifier) (destructor_name) (operator_name)] @name.method)))
  (function_declarator declarator: (qualified_identifier name: (qualified_identifier name: (qualified_identifier
    name: [(identifier) (destructor_name) (operator_name)] @name.method))))
  (_ (function_declarator declarator: (qualified_identifier
    name: [(identifier) (destructor_name) (operator_name)] @name.method)))
  (_ (function_declarator declarator: (qualified_identifier name: (qualified_identifier
    name: [(identifier) (destructor_name) (operator_name)] @name.method))))
  (_ (_ (function_declarator declarator: (qualified_identifier name: (identifier) @name.method))))
  ]) @def.method
(function_definition declarator: (reference_declarator (function_declarator declarator: (identifier) @name.function)))
; Methods that are declared in their class and defined elsewhere are found there as well: headers are read first.
(field_declaration declarator: [
  (function_declarator declarator: (field_identifier) @name.method)
  (_ (function_declarator declarator: (field_identifier) @name.method))]) @def.method
(field_declaration_list (declaration declarator: (function_declarator
  declarator: [(identifier) (destructor_name)] @name.method)) @def.method)
(field_declaration declarator: (reference_declarator (field_identifier) @name.field))
; gtest and the like: TEST(Suite, Name) { }
((function_definition declarator: (function_declarator declarator: (identifier) @_macro
  parameters: (parameter_list (parameter_declaration) . (parameter_declaration type: (type_identifier) @name.test))))
  @def.test
  (#any-of? @_macro "TEST" "TEST_F" "TEST_P" "TYPED_TEST"))

(declaration declarator: (reference_declarator (identifier) @name.variable))
(declaration declarator: (init_declarator declarator: (reference_declarator (identifier) @name.variable)))
(parameter_declaration declarator: (reference_declarator (identifier) @local))
(optional_parameter_declaration declarator: (identifier) @local)
(optional_parameter_declaration declarator: (_ (identifier) @local))
(for_range_loop declarator: (identifier) @local)
(for_range_loop declarator: (_ (identifier) @local))
(structured_binding_declarator (identifier) @local)
(lambda_capture_initializer left: (identifier) @local)
(type_parameter_declaration (type_identifier) @local)
(optional_type_parameter_declaration name: (type_identifier) @local)
(variadic_type_parameter_declaration (type_identifier) @local)

(base_class_clause [
  (type_identifier) @ref.inherit
  (template_type name: (type_identifier) @ref.inherit)
  (qualified_identifier name: (type_identifier) @ref.inherit)
  (qualified_identifier name: (template_type name: (type_identifier) @ref.inherit))])
(call_expression function: [
  (template_function name: (identifier) @ref.call)
  (qualified_identifier name: (identifier) @ref.call)
  (qualified_identifier name: (template_function name: (identifier) @ref.call))
  (qualified_identifier name: (qualified_identifier name: (identifier) @ref.call))
  (qualified_identifier name: (qualified_identifier name: (qualified_identifier name: (identifier) @ref.call)))
  (field_expression field: (template_method name: (field_identifier) @ref.call))])
(new_expression type: [(type_identifier) @ref.call (qualified_identifier name: (type_identifier) @ref.call)])
(field_initializer (field_identifier) @member.write)
(using_declaration (qualified_identifier name: (identifier) @ref.import))
(namespace_identifier) @ref.type
