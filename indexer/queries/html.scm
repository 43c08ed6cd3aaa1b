; What has an id can be found by it. Custom elements (a hyphen in the name) are uses of a component.

((element [
  (start_tag (attribute (attribute_name) @_name [
    (quoted_attribute_value (attribute_value) @name.element)
    (attribute_value) @name.element]))
  (self_closing_tag (attribute (attribute_name) @_name [
    (quoted_attribute_value (attribute_value) @name.element)
    (attribute_value) @name.element]))]) @def.element
  (#eq? @_name "id"))
((script_element (start_tag (attribute (attribute_name) @_name
    (quoted_attribute_value (attribute_value) @name.element)))) @def.element
  (#eq? @_name "id"))

((start_tag (tag_name) @ref.call) (#match? @ref.call "-"))
((self_closing_tag (tag_name) @ref.call) (#match? @ref.call "-"))
((attribute (attribute_name) @_name (quoted_attribute_value (attribute_value) @ref.other))
  (#eq? @_name "class") (#match? @ref.other "^[^ \n\t]+$"))
((script_element (start_tag (attribute (attribute_name) @_name
    (quoted_attribute_value (attribute_value) @ref.import))))
  (#eq? @_name "src"))
((element (start_tag (tag_name) @_tag (attribute (attribute_name) @_name
    (quoted_attribute_value (attribute_value) @ref.import))))
  (#eq? @_tag "link") (#eq? @_name "href"))

(comment) @attach
